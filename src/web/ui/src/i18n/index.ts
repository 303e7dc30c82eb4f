// Strings of both pages. English is the reference; `Dictionary` makes a missing or a superfluous key of another
// language a type error. Texts that the node itself writes (reasons, causes) are shown as they come.

import { de } from "./de";
import { en } from "./en";

export type Key = keyof typeof en;
export type Dictionary = Record<Key, string>;
export type Language = "en" | "de";

export const languages: Record<Language, { name: string; dictionary: Dictionary }> = {
  en: { name: "English", dictionary: en },
  de: { name: "Deutsch", dictionary: de },
};

const STORED_AS = "ringfort-language";
let current: Language = "en";

/** The language in use. */
export function language(): Language {
  return current;
}

/** Chooses the language: the stored choice, else the browser's first known one, else English. */
export function detectLanguage(stored: string | null, preferred: readonly string[]): Language {
  const candidates = [stored ?? "", ...preferred.map((tag) => tag.slice(0, 2).toLowerCase())];
  return candidates.find(isLanguage) ?? "en";
}

/** Uses a language from now on and tells the document, so that screen readers pronounce it right. */
export function setLanguage(next: Language): void {
  current = next;
  document.documentElement.lang = next;
}

/** The language of the last visit or of the browser. */
export function restoreLanguage(): void {
  setLanguage(detectLanguage(localStorage.getItem(STORED_AS), navigator.languages));
}

/** Keeps the choice for the next visit. */
export function storeLanguage(): void {
  localStorage.setItem(STORED_AS, current);
}

/** The text of `key`, its `{name}` places filled from `values`. */
export function t(key: Key, values: Record<string, string | number> = {}): string {
  return fill(languages[current].dictionary[key], values);
}

/** Fills `{name}` places; a place without a value stays visible, so that a mistake is seen. */
export function fill(text: string, values: Record<string, string | number>): string {
  return text.replace(/\{(\w+)\}/g, (place, name: string) => String(values[name] ?? place));
}

function isLanguage(tag: string): tag is Language {
  return tag in languages;
}
