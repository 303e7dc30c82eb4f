// Runs in a page: a small user agent for SIP over WebSocket (RFC 7118) with the browser's own ICE, whose candidates come late (RFC 8838): an
// INFO for each, and one that says that it was the last (RFC 8840). It shares no code with the page's own phone.

window.trickle = (() => {
  const ENCODER = new TextEncoder();
  const PACKAGE = "trickle-ice";
  const FRAGMENT = "application/trickle-ice-sdpfrag";
  const HOST = "late.invalid";

  const word = () => crypto.getRandomValues(new Uint32Array(2)).join("x");
  const octets = (text) => ENCODER.encode(text).length;
  const candidatesIn = (sdp) => sdp.split("\r\n").filter((line) => line.startsWith("a=candidate:")).length;

  async function sha256(text) {
    const digest = await crypto.subtle.digest("SHA-256", ENCODER.encode(text));
    return [...new Uint8Array(digest)].map((octet) => octet.toString(16).padStart(2, "0")).join("");
  }

  /** A message as its parts; `headers(name)` are the values of this header. */
  function read(text) {
    const [head, ...rest] = text.split("\r\n\r\n");
    const [start, ...lines] = head.split("\r\n");
    const fields = lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]);
    const headers = (name) => fields.filter(([key]) => key === name.toLowerCase()).map(([, value]) => value);
    const status = start.startsWith("SIP/2.0 ") ? Number(start.slice(8, 11)) : null;
    return { status, method: start.split(" ")[0], headers, header: (name) => headers(name)[0] ?? "", body: rest.join("\r\n\r\n") };
  }

  /** One account on a connection of its own, with one call. */
  class Agent {
    constructor({ url, user, password, domain }) {
      Object.assign(this, { url, user, password, domain, cseq: 0, local: word(), waiting: new Map(), asked: [], informed: [] });
    }

    async connect() {
      this.socket = new WebSocket(this.url, "sip");
      this.socket.onmessage = ({ data }) => this.received(data);
      await new Promise((resolve, reject) => Object.assign(this.socket, { onopen: resolve, onerror: reject }));
    }

    async received(data) {
      const message = read(typeof data === "string" ? data : await data.text());
      if (message.status === null) return this.requested(message);
      const waiting = this.waiting.get(message.header("CSeq"));
      if (message.status < 200) return waiting?.provisional(message);
      waiting?.final(message);
    }

    requested(request) {
      if (request.method === "BYE") this.reply(request, "200 OK");
      this.asked.push(request);
      this.onrequest?.(request);
    }

    reply(request, status, more = "", body = "") {
      const copied = ["Via", "From", "Call-ID", "CSeq"].flatMap((name) => request.headers(name).map((value) => `${name}: ${value}\r\n`));
      const to = request.header("To");
      const tagged = to.includes(";tag=") ? to : `${to};tag=${this.local}`;
      this.socket.send(`SIP/2.0 ${status}\r\n${copied.join("")}To: ${tagged}\r\n${more}${this.ending(body, "application/sdp")}`);
    }

    ending(body, kind) {
      return `${body === "" ? "" : `Content-Type: ${kind}\r\n`}Content-Length: ${octets(body)}\r\n\r\n${body}`;
    }

    own() {
      const late = `Supported: ${PACKAGE}\r\nRecv-Info: ${PACKAGE}\r\n`;
      return `Contact: <sip:${this.user}@${HOST};transport=ws>\r\nAllow: INVITE, ACK, CANCEL, BYE, INFO\r\n${late}`;
    }

    head(method, uri, { from, to, callId }, cseq) {
      const via = `Via: SIP/2.0/WSS ${HOST};branch=z9hG4bK${word()}\r\nMax-Forwards: 70\r\n`;
      return `${method} ${uri} SIP/2.0\r\n${via}From: ${from}\r\nTo: ${to}\r\nCall-ID: ${callId}\r\nCSeq: ${cseq} ${method}\r\n`;
    }

    /** Sends a request; its final answer, with its number. */
    async ask(method, uri, dialog, more, body = "", kind = "application/sdp", provisional = () => {}) {
      const cseq = (this.cseq += 1);
      const final = new Promise((resolve) => this.waiting.set(`${cseq} ${method}`, { final: resolve, provisional }));
      this.socket.send(this.head(method, uri, dialog, cseq) + more + this.ending(body, kind));
      return { answer: await final, cseq };
    }

    /** The same with the answer to a challenge, which is SHA-256's. */
    async prove(method, uri, dialog, more, ...rest) {
      const first = await this.ask(method, uri, dialog, more, ...rest);
      const name = first.answer.status === 407 ? "Proxy" : "WWW";
      const challenge = first.answer.headers(`${name}-Authenticate`).find((value) => value.includes("SHA-256"));
      if (challenge === undefined) return first;
      this.acknowledge(method, uri, dialog, first);
      const part = (key) => new RegExp(`\\b${key}="?([^",]+)`).exec(challenge)?.[1] ?? "";
      const [realm, nonce, opaque, cnonce] = [part("realm"), part("nonce"), part("opaque"), word()];
      const [a1, a2] = [await sha256(`${this.user}:${realm}:${this.password}`), await sha256(`${method}:${uri}`)];
      const response = await sha256(`${a1}:${nonce}:00000001:${cnonce}:auth:${a2}`);
      const proof =
        `${name === "Proxy" ? "Proxy-" : ""}Authorization: Digest username="${this.user}", realm="${realm}", nonce="${nonce}", ` +
        `uri="${uri}", response="${response}", algorithm=SHA-256, qop=auth, nc=00000001, cnonce="${cnonce}"` +
        `${opaque === "" ? "" : `, opaque="${opaque}"`}\r\n`;
      return this.ask(method, uri, dialog, more + proof, ...rest);
    }

    acknowledge(method, uri, dialog, { answer, cseq }) {
      if (method !== "INVITE") return;
      this.socket.send(this.head("ACK", uri, { ...dialog, to: answer.header("To") }, cseq) + this.ending("", ""));
    }

    newDialog(to) {
      return { from: `<sip:${this.user}@${this.domain}>;tag=${this.local}`, to: `<sip:${to}@${this.domain}>`, callId: word() };
    }

    async register() {
      const { answer } = await this.prove("REGISTER", `sip:${this.domain}`, this.newDialog(this.user), `${this.own()}Expires: 300\r\n`);
      if (answer.status !== 200) throw new Error(`REGISTER was answered ${answer.status}`);
    }

    /** A connection with the microphone, whose candidates wait until they can be told. */
    async media() {
      this.connection = new RTCPeerConnection({ bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" });
      this.late = [];
      this.connection.onicecandidate = ({ candidate }) => {
        this.late.push(candidate?.candidate ? candidate : null);
        void this.tell();
      };
      const heard = document.createElement("audio");
      heard.dataset.testid = "remote-audio";
      document.body.prepend(heard);
      this.connection.ontrack = ({ track, streams }) => {
        heard.srcObject = streams[0] ?? new MediaStream([track]);
        void heard.play();
      };
      const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      stream.getTracks().forEach((track) => this.connection.addTrack(track, stream));
    }

    async gathered() {
      const { connection } = this;
      if (connection.iceGatheringState === "complete") return;
      await new Promise((resolve) => {
        connection.onicegatheringstatechange = () => connection.iceGatheringState === "complete" && resolve();
      });
    }

    /** Tells what was found since, one by one, as soon as there is a dialog to tell it in. `null`, or nothing at all, ends the candidates. */
    async tell() {
      if (this.dialog === undefined || this.telling) return;
      this.telling = true;
      while (this.late.length > 0) {
        const candidate = this.late.shift();
        // Firefox says twice that there are no more.
        if (candidate === null && this.informed.some(({ last }) => last)) continue;
        const body = this.fragment(candidate);
        const more = `Info-Package: ${PACKAGE}\r\nContent-Disposition: Info-Package\r\n`;
        const { answer } = await this.ask("INFO", this.target, this.dialog, more, body, FRAGMENT);
        this.informed.push({ status: answer.status, last: candidate === null, early: !this.answered });
      }
      this.telling = false;
    }

    fragment(candidate) {
      const { sdp } = this.connection.localDescription;
      const line = (name) => new RegExp(`a=${name}:.*`).exec(sdp)[0].trim();
      const late = candidate === null ? "end-of-candidates" : candidate.candidate;
      return `${line("ice-pwd")}\r\n${line("ice-ufrag")}\r\nm=audio 9 RTP/AVP 0\r\n${line("mid")}\r\na=${late}\r\n`;
    }

    /** There is a dialog with whoever answered so. */
    founded(dialog, message) {
      this.dialog ??= dialog;
      this.target ??= /<([^>]+)>/.exec(message.header("Contact"))[1];
      void this.tell();
    }

    /** Calls. `whole`: the offer has all candidates already, and only their end comes late. Returns when the call is answered. */
    async call(number, whole) {
      await this.connect();
      await this.media();
      const { connection } = this;
      const offer = await connection.createOffer();
      await connection.setLocalDescription(offer);
      if (whole) {
        await this.gathered();
        this.late = [null];
      }
      this.described = whole ? connection.localDescription.sdp : offer.sdp;
      const dialog = this.newDialog(number);
      const uri = `sip:${number}@${this.domain}`;
      const early = (message) => {
        if (message.header("To").includes(";tag=")) this.founded({ ...dialog, to: message.header("To") }, message);
      };
      const made = await this.prove("INVITE", uri, dialog, this.own(), this.described, "application/sdp", early);
      if (made.answer.status !== 200) throw new Error(`INVITE was answered ${made.answer.status}`);
      this.answered = true;
      this.target = undefined;
      this.founded({ ...dialog, to: made.answer.header("To") }, made.answer);
      this.acknowledge("INVITE", this.target, dialog, made);
      this.peer = made.answer;
      await connection.setRemoteDescription({ type: "answer", sdp: made.answer.body });
    }

    /** Registers, and answers the next call at once, without a candidate. */
    async answer() {
      await this.connect();
      await this.register();
      this.onrequest = async (request) => {
        if (request.method !== "INVITE") return;
        await this.media();
        await this.connection.setRemoteDescription({ type: "offer", sdp: request.body });
        const answer = await this.connection.createAnswer();
        await this.connection.setLocalDescription(answer);
        [this.described, this.peer, this.answered] = [answer.sdp, request, true];
        this.reply(request, "200 OK", this.own(), answer.sdp);
        const to = `${request.header("To")};tag=${this.local}`;
        this.founded({ from: to, to: request.header("From"), callId: request.header("Call-ID") }, request);
      };
    }

    async bye() {
      return (await this.ask("BYE", this.target, this.dialog, "")).answer.status;
    }

    /** What a test looks at. */
    state() {
      return {
        answered: this.answered === true,
        own: candidatesIn(this.described ?? ""),
        theirs: candidatesIn(this.peer?.body ?? ""),
        whole: this.peer?.body.includes("a=end-of-candidates") ?? false,
        lite: this.peer?.body.includes("a=ice-lite") ?? false,
        supported: this.peer?.headers("Supported").join(", ") ?? "",
        packages: this.peer?.headers("Recv-Info").join(", ") ?? "",
        informed: this.informed,
        ended: this.asked.some(({ method }) => method === "BYE"),
        ice: this.connection?.iceConnectionState ?? "none",
        dtls: this.connection?.getSenders()[0]?.transport?.state ?? "none",
      };
    }
  }

  return { Agent };
})();
void 0;
