// Twelve keys, for dialling and for tones in a call.

import { useRef } from "preact/hooks";

const KEYS: [string, string][] = [
  ["1", ""],
  ["2", "ABC"],
  ["3", "DEF"],
  ["4", "GHI"],
  ["5", "JKL"],
  ["6", "MNO"],
  ["7", "PQRS"],
  ["8", "TUV"],
  ["9", "WXYZ"],
  ["*", ""],
  ["0", "+"],
  ["#", ""],
];
const LONG_PRESS_MS = 600;

interface KeypadProps {
  label: string;
  /** Keys that a long press gives, such as `+` on `0` when dialling. */
  longPress?: Record<string, string>;
  onKey(key: string): void;
}

export function Keypad({ label, longPress = {}, onKey }: KeypadProps) {
  const timer = useRef(0);
  const held = useRef(false);
  const press = (key: string) => {
    const other = longPress[key];
    held.current = false;
    window.clearTimeout(timer.current);
    if (other === undefined) return;
    timer.current = window.setTimeout(() => {
      held.current = true;
      onKey(other);
    }, LONG_PRESS_MS);
  };
  const release = () => window.clearTimeout(timer.current);
  return (
    <div class="keypad" role="group" aria-label={label}>
      {KEYS.map(([key, letters]) => (
        <button
          key={key}
          type="button"
          class="key"
          data-testid={`keypad-${key}`}
          onPointerDown={() => press(key)}
          onPointerUp={release}
          onPointerLeave={release}
          onClick={() => !held.current && onKey(key)}
        >
          <span class="key-digit">{key}</span>
          <span class="key-letters">{letters}</span>
        </button>
      ))}
    </div>
  );
}
