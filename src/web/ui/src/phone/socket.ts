// SIP over WebSocket (RFC 7118) as JsSIP wants it, with what JsSIP's own socket lacks: a keep-alive that notices a
// connection which is dead without having been closed (sleeping laptop, changed network). RFC 5626 3.5.1 keep-alive:
// a double CRLF is answered by a CRLF.

const PING_EVERY_MS = 20_000;
const PONG_WITHIN_MS = 8_000;
const PING = "\r\n\r\n";

export class SipSocket {
  readonly url: string;
  via_transport: string;
  readonly sip_uri: string;
  onconnect: () => void = () => {};
  ondisconnect: (error: boolean, code?: number, reason?: string) => void = () => {};
  ondata: (data: unknown) => void = () => {};

  private socket: WebSocket | null = null;
  private pingTimer = 0;
  private deadline = 0;
  /** Only a node that has answered one ping is expected to answer the next. */
  private answersPings = false;

  constructor(url: string) {
    const { protocol, host } = new URL(url);
    this.url = url;
    this.via_transport = protocol === "wss:" ? "WSS" : "WS";
    this.sip_uri = `sip:${host};transport=ws`;
  }

  connect(): void {
    if (this.socket !== null) return;
    const socket = new WebSocket(this.url, "sip");
    socket.binaryType = "arraybuffer";
    socket.onopen = () => this.opened();
    socket.onclose = (event) => this.closed(!event.wasClean, event.code, event.reason);
    socket.onmessage = (event) => this.received(event.data);
    this.socket = socket;
  }

  disconnect(): void {
    this.release()?.close();
  }

  send(message: string | ArrayBufferLike | Blob | ArrayBufferView): boolean {
    if (!this.isConnected()) return false;
    this.socket?.send(message as string);
    return true;
  }

  isConnected(): boolean {
    return this.socket?.readyState === WebSocket.OPEN;
  }

  isConnecting(): boolean {
    return this.socket?.readyState === WebSocket.CONNECTING;
  }

  /** The browser says that the network came back: checks the connection, or makes it, without waiting for a timer. */
  wake(): void {
    if (this.socket === null) this.connect();
    else this.probe();
  }

  /** Asks the node for a sign of life. */
  private probe(): void {
    if (!this.send(PING) || !this.answersPings || this.deadline !== 0) return;
    this.deadline = window.setTimeout(() => this.lost(), PONG_WITHIN_MS);
  }

  private opened(): void {
    this.answersPings = false;
    this.pingTimer = window.setInterval(() => this.probe(), PING_EVERY_MS);
    this.onconnect();
    this.probe();
  }

  private received(data: unknown): void {
    window.clearTimeout(this.deadline);
    this.deadline = 0;
    if (data === "\r\n") this.answersPings = true;
    this.ondata(data);
  }

  private lost(): void {
    this.release()?.close();
    this.ondisconnect(true, 1006, "no answer to keep-alive");
  }

  private closed(error: boolean, code: number, reason: string): void {
    this.release();
    this.ondisconnect(error, code, reason);
  }

  /** Forgets the socket: none of its later events is heard. */
  private release(): WebSocket | null {
    const { socket } = this;
    window.clearInterval(this.pingTimer);
    window.clearTimeout(this.deadline);
    this.deadline = 0;
    this.socket = null;
    if (socket !== null) socket.onopen = socket.onclose = socket.onmessage = null;
    return socket;
  }
}
