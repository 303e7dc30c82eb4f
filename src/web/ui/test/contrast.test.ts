// Every pair of text and ground that the style sheets use keeps WCAG 2.1 AA contrast, in both schemes.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

const TEXT = 4.5;
/** Lines of fields, focus rings, signs (WCAG 1.4.11). */
const SIGN = 3;
const TONES = ["ok", "warn", "bad", "info", "calm"];

const PAIRS: [string, string, number][] = [
  ...["ground", "surface", "raised"].flatMap((ground): [string, string, number][] => [
    ["ink", ground, TEXT],
    ["muted", ground, TEXT],
    ["focus", ground, SIGN],
    ["field-line", ground, SIGN],
  ]),
  ["accent", "surface", SIGN],
  ["on-accent", "accent", TEXT],
  ["on-accent", "accent-strong", TEXT],
  ["on-action", "go", TEXT],
  ["on-action", "go-strong", TEXT],
  ["on-action", "stop", TEXT],
  ["on-action", "stop-strong", TEXT],
  ...TONES.flatMap((tone): [string, string, number][] => [
    [`${tone}-ink`, `${tone}-ground`, TEXT],
    [`${tone}-ink`, "surface", TEXT],
    ["ink", `${tone}-ground`, TEXT],
  ]),
];

const [light, dark] = readSchemes(readFileSync("src/styles/tokens.css", "utf8"));

for (const [name, colours] of Object.entries({ light, dark })) {
  test(`contrast of the ${name} scheme`, () => {
    for (const [ink, ground, least] of PAIRS) {
      const ratio = contrast(colour(colours, ink), colour(colours, ground));
      assert.ok(ratio >= least, `--${ink} on --${ground}: ${ratio.toFixed(2)}, needs ${least}`);
    }
  });
}

type Colours = Map<string, string>;

/** The dark scheme replaces part of the light one. */
function readSchemes(css: string): [Colours, Colours] {
  const [first = "", second = ""] = css.split("@media (prefers-color-scheme: dark)");
  const base = declarations(first);
  return [base, new Map([...base, ...declarations(second)])];
}

function declarations(css: string): Colours {
  return new Map([...css.matchAll(/--([\w-]+):\s*(#[0-9a-f]{6});/g)].map(([, name = "", value = ""]) => [name, value]));
}

function colour(colours: Colours, name: string): string {
  const value = colours.get(name);
  assert.ok(value, `no colour --${name}`);
  return value;
}

/** WCAG 2.1, "contrast ratio". */
function contrast(a: string, b: string): number {
  const [darker = 0, lighter = 0] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (lighter + 0.05) / (darker + 0.05);
}

function luminance(hex: string): number {
  const [r = 0, g = 0, b = 0] = [1, 3, 5].map((at) => linear(parseInt(hex.slice(at, at + 2), 16) / 255));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function linear(channel: number): number {
  return channel <= 0.03928 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
}
