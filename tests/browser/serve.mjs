// What the drivers of all browsers share: a wish a line on standard input, an answer a line on standard output, both JSON.
// A wish: {"id": 1, "do": "click", "tab": "a", "limit_ms": 5000, ...}; its answer: {"id": 1, "value": ...} or {"id": 1, "error": "..."}.

import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

/** Runs in each page before its own scripts. */
export const pageScript = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "page.js"), "utf8");

export function note(text) {
  process.stderr.write(`${new Date().toISOString()} ${text}\n`);
}

async function answer(acts, line) {
  const wish = JSON.parse(line);
  try {
    const act = acts[wish.do];
    if (act === undefined) throw new Error(`nothing is known of ${wish.do}`);
    return { id: wish.id, value: (await act(wish)) ?? null };
  } catch (error) {
    return { id: wish.id, error: String(error.message ?? error) };
  }
}

/** Does what standard input asks for, until it ends or asks to quit. */
export async function serve(acts) {
  for await (const line of createInterface({ input: process.stdin })) {
    const reply = await answer(acts, line);
    note(`${line} -> ${JSON.stringify(reply)}`);
    process.stdout.write(`${JSON.stringify(reply)}\n`);
    if (JSON.parse(line).do === "quit") return;
  }
}
