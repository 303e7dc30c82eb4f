// A stand-in for the node, for work on the pages: `npm run dev`, then open http://localhost:8480.
// Serves dist/ with the node's security headers, an API with made-up data, and a SIP registrar that lets two signed-in
// phones call each other. Accounts: admin, first (has to change its password), 101, 102, 103; password = name.
// POST /dev/mode/{standalone|normal|survivable|empty} changes what the status page shows; POST /dev/drop cuts the
// phones' connections.

import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";
import { fileURLToPath } from "node:url";
import { FakeNode } from "./fake-node.mjs";
import { Registrar, DOMAIN, ha1 } from "./registrar.mjs";
import { acceptWebSocket } from "./websocket.mjs";

const PORT = Number(process.env.PORT ?? 8480);
const DIST = join(dirname(dirname(fileURLToPath(import.meta.url))), "dist");
const ATTEMPTS_MAX = 4;
const WAIT_S = 8;
const POLICY = [
  "default-src 'self'; connect-src 'self' wss:; media-src 'self' blob:",
  "object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
].join("; ");
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".txt": "text/plain",
};
const ACCOUNTS = {
  admin: { role: "admin" },
  first: { role: "admin", must_change_password: true },
  101: { role: "user", display_name: "Alice Byrne" },
  102: { role: "user", display_name: "Bob Keane" },
  103: { role: "user", display_name: "" },
};

const OWN_CALLS = {
  devices: 2,
  calls: [
    {
      call_id: "a1",
      node_tag: "n",
      client_tag: "c",
      outgoing: true,
      peer: "103",
      peer_name: "Carol Dunne",
      held: false,
      answered: Date.now() - 95_000,
    },
  ],
};

const node = new FakeNode();
const registrar = new Registrar(Object.keys(ACCOUNTS));
let failedAttempts = 0;

const routes = {
  "GET /api/v1/session": ({ session, response }) => reply(response, 200, session),
  "POST /api/v1/session": signIn,
  "DELETE /api/v1/session": ({ response }) =>
    reply(response, 204, undefined, { "Set-Cookie": "user=; Max-Age=0; Path=/" }),
  "PUT /api/v1/password": ({ response, body }) =>
    body.current === "first"
      ? reply(response, 204)
      : refuse(response, 403, "wrong-password", "The current password is wrong."),
  "GET /api/v1/status": ({ response }) => reply(response, 200, node.status()),
  "GET /api/v1/events": ({ response }) => node.subscribe(response),
  "POST /api/v1/reload": ({ response }) =>
    node.mode === "survivable"
      ? refuse(
          response,
          409,
          "configuration-refused",
          "ringfort.toml:41: unknown key `adress` in [[trunk]]; did you mean `address`?",
        )
      : reply(response, 204),
  "GET /api/v1/phone/calls": ({ response }) => {
    response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-store" });
    response.write(`data: ${JSON.stringify(OWN_CALLS)}\n\n`);
  },
  "GET /api/v1/phone": ({ session, response }) => reply(response, 200, account(session.user)),
};

const server = createServer((request, response) => {
  handle(request, response).catch((error) => refuse(response, 500, "internal", String(error)));
});
server.on("upgrade", (request, socket) => {
  if (request.url === "/sip") registrar.attach(acceptWebSocket(request, socket));
  else socket.destroy();
});
server.listen(PORT, "127.0.0.1", () => console.log(`http://localhost:${PORT}`));

async function handle(request, response) {
  const { pathname } = new URL(request.url, "http://localhost");
  if (pathname === "/dev/drop") return reply(response, 204, registrar.drop());
  if (pathname.startsWith("/dev/mode/")) return reply(response, 204, node.setMode(pathname.slice(10)));
  if (!pathname.startsWith("/api/")) return serveFile(pathname, response);
  const context = { request, response, session: sessionOf(request), body: await readBody(request) };
  const hangup = /^\/api\/v1\/calls\/([^/]+)\/hangup$/.exec(pathname);
  if (!context.session && pathname !== "/api/v1/session")
    return refuse(response, 401, "not-signed-in", "Sign in first.");
  if (!context.session && request.method === "GET") return refuse(response, 401, "not-signed-in", "Sign in first.");
  if (request.method !== "GET" && request.headers["x-ringfort"] !== "1")
    return refuse(response, 403, "cross-site", "No X-Ringfort.");
  if (hangup)
    return node.hangUp(hangup[1]) ? reply(response, 204) : refuse(response, 404, "not-found", "There is no such call.");
  const route = routes[`${request.method} ${pathname}`];
  return route ? route(context) : refuse(response, 404, "not-found", "There is no such path.");
}

function signIn({ response, body }) {
  if (failedAttempts >= ATTEMPTS_MAX) {
    failedAttempts = 0;
    return refuse(response, 429, "throttled", "Too many attempts.", { "Retry-After": String(WAIT_S) });
  }
  if (!ACCOUNTS[body.user] || body.password !== body.user) {
    failedAttempts += 1;
    return refuse(response, 401, "bad-credentials", "User name or password is wrong.");
  }
  failedAttempts = 0;
  return reply(response, 200, sessionFor(body.user), {
    "Set-Cookie": `user=${body.user}; HttpOnly; SameSite=Strict; Path=/`,
  });
}

function sessionFor(user) {
  return { user, role: ACCOUNTS[user].role, must_change_password: ACCOUNTS[user].must_change_password ?? false };
}

function sessionOf(request) {
  const user = /(?:^|; )user=(\w+)/.exec(request.headers.cookie ?? "")?.[1];
  return ACCOUNTS[user] ? sessionFor(user) : null;
}

function account(user) {
  const { display_name } = ACCOUNTS[user];
  return {
    uri: `sip:${user}@${DOMAIN}`,
    realm: DOMAIN,
    username: user,
    display_name,
    ha1_md5: ha1(user),
    ws_path: "/sip",
    conference: "*6",
  };
}

async function readBody(request) {
  let text = "";
  for await (const chunk of request) text += chunk;
  return text === "" ? {} : JSON.parse(text);
}

async function serveFile(pathname, response) {
  const page = pathname === "/" || pathname === "/phone" ? "/index.html" : normalize(pathname);
  try {
    const content = await readFile(join(DIST, page));
    response.writeHead(200, {
      "Content-Type": TYPES[extname(page)] ?? "application/octet-stream",
      "Content-Security-Policy": POLICY,
    });
    response.end(content);
  } catch {
    refuse(response, 404, "not-found", "There is no such page.");
  }
}

function refuse(response, status, code, message, headers = {}) {
  reply(response, status, { error: { code, message } }, headers);
}

function reply(response, status, body, headers = {}) {
  response.writeHead(status, { "Content-Type": "application/json", ...headers });
  response.end(body === undefined ? "" : JSON.stringify(body));
}
