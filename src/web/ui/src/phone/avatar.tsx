// A person as two letters, or as a handset when only a number is known.

import { Icon } from "../parts/icons";

export function Avatar({ name, ringing }: { name: string; ringing: boolean }) {
  const letters = initials(name);
  return (
    <span class={`avatar${ringing ? " avatar-ringing" : ""}`} aria-hidden="true">
      {letters === "" ? <Icon name="phone" size={34} /> : letters}
    </span>
  );
}

/** First letters of the first and the last word; "" for a number. */
export function initials(name: string): string {
  const words = name.split(/[\s._-]+/).filter((word) => /^\p{L}/u.test(word));
  const chosen = words.length > 1 ? [words[0], words[words.length - 1]] : words;
  return chosen
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("")
    .toUpperCase();
}
