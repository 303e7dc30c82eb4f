// A text with something drawn, rather than a word, in its place.

import type { ComponentChildren } from "preact";
import { t, type Key } from "../i18n";

/** The text of `name`, its one `{place}` taken by the children. */
export function Filled({ name, children }: { name: Key; children: ComponentChildren }) {
  const [before, after] = t(name).split(/\{\w+\}/);
  return (
    <>
      {before}
      {children}
      {after}
    </>
  );
}
