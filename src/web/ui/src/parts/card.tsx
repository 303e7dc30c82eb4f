// A titled part of a page, and what it says while it has nothing to show.

import type { ComponentChildren } from "preact";

interface CardProps {
  title: string;
  count?: number;
  /** Stands at the right of the title. */
  aside?: ComponentChildren;
  class?: string;
  testId?: string;
  children: ComponentChildren;
}

export function Card({ title, count, aside, class: extra = "", testId, children }: CardProps) {
  return (
    <section class={`card ${extra}`} aria-label={title} data-testid={testId}>
      <header class="card-head">
        <h2>
          {title}
          {count !== undefined && <span class="count">{count}</span>}
        </h2>
        {aside}
      </header>
      {children}
    </section>
  );
}

export function Empty({ text, hint }: { text: string; hint?: string }) {
  return (
    <div class="empty">
      <p>{text}</p>
      {hint !== undefined && <p class="muted">{hint}</p>}
    </div>
  );
}
