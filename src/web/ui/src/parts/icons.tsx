// Line icons on a 24-unit grid. They are decoration: the text beside them, or the button's label, carries the meaning.

import type { ComponentChildren } from "preact";

const PATHS = {
  phone:
    "M6.6 3.5 9 8l-2 1.7a12.6 12.6 0 0 0 7.3 7.3L16 15l4.5 2.4v2.3a1.8 1.8 0 0 1-2 1.8A16.4 16.4 0 0 1 2.5 5.5a1.8 1.8 0 0 1 1.8-2z",
  hangup:
    "M12 9.5c-3.2 0-6.2.8-8.6 2.3a2 2 0 0 0-.9 1.9l.2 1.6c.1.9 1 1.5 1.9 1.3l3-.7a1.6 1.6 0 0 0 1.2-1.3l.3-1.7a11 11 0 0 1 5.8 0l.3 1.7c.1.6.6 1.1 1.2 1.3l3 .7c.9.2 1.8-.4 1.9-1.3l.2-1.6a2 2 0 0 0-.9-1.9A16.4 16.4 0 0 0 12 9.5z",
  mic: "M12 3a3 3 0 0 1 3 3v5a3 3 0 0 1-6 0V6a3 3 0 0 1 3-3zM6 11a6 6 0 0 0 12 0M12 17v4M9 21h6",
  micOff:
    "M9 9v2a3 3 0 0 0 4.7 2.5M15 11V6a3 3 0 0 0-5.7-1.3M6 11a6 6 0 0 0 9.6 4.8M18 11a6 6 0 0 1-.4 2.1M12 17v4M9 21h6M4 3l16 18",
  pause: "M9 5v14M15 5v14",
  play: "M8 5l11 7-11 7z",
  erase: "M9 5h10a1.5 1.5 0 0 1 1.5 1.5v11A1.5 1.5 0 0 1 19 19H9l-6-7zM12 9.5l5 5M17 9.5l-5 5",
  outgoing: "M7 17 17 7M9 7h8v8",
  incoming: "M17 7 7 17M15 17H7V9",
  missed: "M20 6l-8 8-6-6M6 13V8h5",
  reload: "M20 11a8 8 0 0 0-14.3-4.3L4 8.5M4 4v4.5h4.5M4 13a8 8 0 0 0 14.3 4.3L20 15.5M20 20v-4.5h-4.5",
  signOut: "M10 4H6a1.5 1.5 0 0 0-1.5 1.5v13A1.5 1.5 0 0 0 6 20h4M15 8l4 4-4 4M19 12H9",
  cloud: "M7 18.5a4.5 4.5 0 0 1-.6-9 6 6 0 0 1 11.5 1.6A3.7 3.7 0 0 1 17.5 18.5z",
  trunk: "M4 8h12M13 5l3 3-3 3M20 16H8M11 13l-3 3 3 3",
  calls: "M4 12h2l2-6 4 12 3-9 1.5 3H20",
  device:
    "M5 5.5A1.5 1.5 0 0 1 6.5 4h11A1.5 1.5 0 0 1 19 5.5v13a1.5 1.5 0 0 1-1.5 1.5h-11A1.5 1.5 0 0 1 5 18.5zM8.5 8v8M12 8h3.5M12 12h.1M15.4 12h.1M12 16h.1M15.4 16h.1",
  alert: "M12 4 2.8 20h18.4zM12 10v4.5M12 17.3v.1",
  add: "M12 5v14M5 12h14",
  swap: "M7 4v14M3.5 14.5 7 18l3.5-3.5M17 20V6M13.5 9.5 17 6l3.5 3.5",
  people:
    "M9 11a3.2 3.2 0 1 0 0-6.4A3.2 3.2 0 0 0 9 11zM3 19.5c0-3.3 2.7-5.5 6-5.5s6 2.2 6 5.5M15.5 4.9a3.2 3.2 0 0 1 0 5.8M17.5 14.4c2.1.8 3.5 2.6 3.5 5.1",
  check: "M5 12.5l4.5 4.5L19 7.5",
  cross: "M6 6l12 12M18 6 6 18",
} as const;

export type IconName = keyof typeof PATHS;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <Drawing size={size}>
      <path d={PATHS[name]} />
    </Drawing>
  );
}

/** The mark: a ring fort seen from above, two ramparts with their entrance, and the house they guard. */
export function Mark({ size = 28 }: { size?: number }) {
  return (
    <Drawing size={size}>
      <path d="M9.5 21.2A9.5 9.5 0 1 1 14.5 21.2" />
      <path d="M10.3 16.7a5 5 0 1 1 3.4 0" />
      <circle cx="12" cy="12" r="1.3" class="filled" />
    </Drawing>
  );
}

function Drawing({ size, children }: { size: number; children: ComponentChildren }) {
  return (
    <svg class="icon" width={size} height={size} viewBox="0 0 24 24" aria-hidden="true" focusable="false">
      {children}
    </svg>
  );
}
