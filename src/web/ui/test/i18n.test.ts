// That no key is missing is the compiler's business (i18n/index.ts, `Dictionary`); this looks into the texts.

import assert from "node:assert/strict";
import { test } from "node:test";
import { detectLanguage, fill, languages, type Key } from "../src/i18n";

const places = (text: string) => [...text.matchAll(/\{\w+\}/g)].map(([place]) => place).sort();

for (const [tag, { dictionary }] of Object.entries(languages)) {
  test(`${tag}: no empty text, and the places of the English one`, () => {
    for (const [key, text] of Object.entries(dictionary)) {
      assert.notEqual(text.trim(), "", key);
      assert.deepEqual(places(text), places(languages.en.dictionary[key as Key]), key);
    }
  });
}

test("the stored language wins, then the browser's, then English", () => {
  assert.equal(detectLanguage("de", ["en-GB"]), "de");
  assert.equal(detectLanguage(null, ["fr-FR", "de-AT", "en"]), "de");
  assert.equal(detectLanguage("xx", ["fr"]), "en");
  assert.equal(detectLanguage(null, []), "en");
});

test("places are filled; one without a value stays visible", () => {
  assert.equal(fill("{a} of {b}", { a: 1, b: 2 }), "1 of 2");
  assert.equal(fill("{a} of {b}", { a: 0 }), "0 of {b}");
});
