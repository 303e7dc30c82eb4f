// The server's side of a WebSocket (RFC 6455), as little of it as SIP needs: whole text messages, ping, close.

import { createHash } from "node:crypto";
import { EventEmitter } from "node:events";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const TEXT = 1;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

/** Answers the handshake; the result emits `message` (text) and `close`. */
export function acceptWebSocket(request, socket) {
  const accept = createHash("sha1")
    .update(request.headers["sec-websocket-key"] + GUID)
    .digest("base64");
  socket.write(
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" +
      `Sec-WebSocket-Accept: ${accept}\r\nSec-WebSocket-Protocol: sip\r\n\r\n`,
  );
  const peer = new EventEmitter();
  let pending = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    pending = takeFrames(Buffer.concat([pending, chunk]), (opcode, payload) => received(peer, socket, opcode, payload));
  });
  socket.on("close", () => peer.emit("close"));
  socket.on("error", () => socket.destroy());
  peer.send = (text) => socket.writable && socket.write(frame(TEXT, Buffer.from(text)));
  peer.drop = () => socket.destroy();
  return peer;
}

function received(peer, socket, opcode, payload) {
  if (opcode === TEXT) peer.emit("message", payload.toString());
  else if (opcode === PING) socket.write(frame(PONG, payload));
  else if (opcode === CLOSE) socket.end(frame(CLOSE, payload));
}

/** Hands over every whole frame and returns the rest. */
function takeFrames(buffer, onFrame) {
  let rest = buffer;
  for (;;) {
    const header = readHeader(rest);
    if (header === null || rest.length < header.end) return rest;
    const payload = Buffer.from(rest.subarray(header.start, header.end));
    for (let i = 0; i < payload.length; i++) payload[i] ^= header.mask[i % 4];
    onFrame(rest[0] & 0x0f, payload);
    rest = rest.subarray(header.end);
  }
}

/** Browsers always mask, and nothing here is longer than 64 KB. */
function readHeader(buffer) {
  if (buffer.length < 8) return buffer.length >= 6 && (buffer[1] & 0x7f) === 0 ? headerAt(buffer, 2, 0) : null;
  const short = buffer[1] & 0x7f;
  return short === 126 ? headerAt(buffer, 4, buffer.readUInt16BE(2)) : headerAt(buffer, 2, short);
}

function headerAt(buffer, maskAt, length) {
  return { mask: buffer.subarray(maskAt, maskAt + 4), start: maskAt + 4, end: maskAt + 4 + length };
}

function frame(opcode, payload) {
  const long = payload.length > 125;
  const header = Buffer.alloc(long ? 4 : 2);
  header[0] = 0x80 | opcode;
  header[1] = long ? 126 : payload.length;
  if (long) header.writeUInt16BE(payload.length, 2);
  return Buffer.concat([header, payload]);
}
