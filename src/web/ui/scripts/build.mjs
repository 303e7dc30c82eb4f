// Builds the pages into dist/: index.html, favicon.svg, and assets/ with names that carry a hash of their content.
// Fails when a page grows beyond its budget.

import { build } from "esbuild";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { options } from "./options.mjs";

/** All of the pages together, gzipped, so that a slow line still opens the phone at once. */
const BUDGET_BYTES = 120 * 1024;

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

mkdirSync(dist, { recursive: true });
for (const name of readdirSync(dist)) rmSync(join(dist, name), { recursive: true });

const { metafile } = await build({
  ...options,
  absWorkingDir: root,
  entryPoints: { app: "src/main.tsx" },
  outdir: "dist/assets",
  format: "esm",
  splitting: true,
  minify: true,
  metafile: true,
  entryNames: "[name]-[hash]",
  chunkNames: "[name]-[hash]",
});

const outputs = Object.keys(metafile.outputs);
writePage(outputs);
writeFileSync(join(dist, "favicon.svg"), readFileSync(join(root, "public/favicon.svg")));
writeFileSync(join(dist, "licences.txt"), licences(metafile));
report(outputs);

function writePage(files) {
  const address = (pattern) => `/${files.find((file) => pattern.test(file)).replace(/^dist\//, "")}`;
  const page = readFileSync(join(root, "public/index.html"), "utf8")
    .replace("{{style}}", address(/\/app-[^/]+\.css$/))
    .replace("{{script}}", address(/\/app-[^/]+\.js$/));
  writeFileSync(join(dist, "index.html"), page);
}

/** The licences of the packages whose code is in the bundle: their authors ask for that. */
function licences({ inputs }) {
  const packages = new Set(
    Object.keys(inputs).flatMap((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1] ?? []),
  );
  return [...packages].sort().map(licenceOf).join("\n\n");
}

function licenceOf(name) {
  const folder = join(root, "node_modules", name);
  const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
  const text = file === undefined ? "" : readFileSync(join(folder, file), "utf8").trim();
  return `${name} ${version} (${license})\n\n${text}\n`;
}

function report(files) {
  let total = 0;
  for (const file of files) {
    const packed = gzipSync(readFileSync(join(root, file)), { level: 9 }).length;
    total += packed;
    console.log(`${file.padEnd(44)} ${(packed / 1024).toFixed(1).padStart(6)} KB gzipped`);
  }
  console.log(`${"total".padEnd(44)} ${(total / 1024).toFixed(1).padStart(6)} KB of ${BUDGET_BYTES / 1024}`);
  if (total > BUDGET_BYTES) throw new Error("the pages are larger than their budget");
}
