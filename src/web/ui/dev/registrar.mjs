// A SIP registrar for the mock: checks digests, and passes messages between two registered phones unchanged, told
// apart by Call-ID. Calls to `busy`, `nobody` and `forbidden` get the answer that their name says.

import { createHash } from "node:crypto";

export const DOMAIN = "example.com";
const EXPIRES_S = 300;
const REFUSALS = {
  busy: "486 Busy Here",
  nobody: "404 Not Found",
  forbidden: "403 Forbidden",
  short: "484 Address Incomplete",
};

const md5 = (text) => createHash("md5").update(text).digest("hex");
const header = (message, name) => new RegExp(`^${name}:\\s*(.*?)\\r$`, "im").exec(message)?.[1];

/** H(A1) of a mock account, whose password is its name. */
export function ha1(user) {
  return md5(`${user}:${DOMAIN}:${user}`);
}

export class Registrar {
  #users;
  #phones = new Map();
  #calls = new Map();

  constructor(users) {
    this.#users = users;
  }

  attach(peer) {
    peer.on("message", (message) => this.#receive(peer, message));
    peer.on("close", () => this.#phones.get(peer.user) === peer && this.#phones.delete(peer.user));
  }

  /** Cuts every connection, as a restart would. */
  drop() {
    this.#phones.forEach((peer) => peer.drop());
  }

  #receive(peer, message) {
    if (message === "\r\n\r\n") return peer.send("\r\n");
    if (message.startsWith("REGISTER ")) return this.#register(peer, message);
    if (message.startsWith("INVITE ") && !this.#calls.has(header(message, "Call-ID")))
      return this.#invite(peer, message);
    const users = this.#calls.get(header(message, "Call-ID"));
    return this.#phones.get(users?.find((user) => user !== peer.user))?.send(message);
  }

  #register(peer, message) {
    const user = /sip:([^@>;]+)@/.exec(header(message, "To"))?.[1];
    if (!this.#users.includes(user) || !this.#authentic(user, message)) {
      return peer.send(
        respond(message, "401 Unauthorized", [
          `WWW-Authenticate: Digest realm="${DOMAIN}", nonce="${md5(String(Date.now()))}", algorithm=MD5, qop="auth"`,
        ]),
      );
    }
    peer.user = user;
    this.#phones.set(user, peer);
    const contact = header(message, "Contact").replace(/;expires=\d+/, "");
    return peer.send(respond(message, "200 OK", [`Contact: ${contact};expires=${EXPIRES_S}`]));
  }

  #authentic(user, message) {
    const given = (name) => new RegExp(`\\b${name}="?([^",]+)`).exec(header(message, "Authorization") ?? "")?.[1];
    const ha2 = md5(`REGISTER:${given("uri")}`);
    return given("response") === md5(`${ha1(user)}:${given("nonce")}:${given("nc")}:${given("cnonce")}:auth:${ha2}`);
  }

  #invite(peer, message) {
    const user = /^INVITE sip:([^@ ]+)@/.exec(message)?.[1];
    const callee = this.#phones.get(user);
    if (callee) {
      this.#calls.set(header(message, "Call-ID"), [peer.user, user]);
      return callee.send(message);
    }
    return peer.send(respond(message, REFUSALS[user] ?? "480 Temporarily Unavailable", []));
  }
}

function respond(request, status, headers) {
  const copied = ["Via", "From", "Call-ID", "CSeq"].map((name) => `${name}: ${header(request, name)}`);
  const to = header(request, "To");
  const tagged = to.includes(";tag=") ? to : `${to};tag=${md5(to).slice(0, 8)}`;
  return [`SIP/2.0 ${status}`, ...copied, `To: ${tagged}`, ...headers, "Content-Length: 0", "", ""].join("\r\n");
}
