// Buttons. Each has a text or a label; an icon alone is never the name.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icons";

export interface ButtonProps {
  kind?: "primary" | "plain" | "quiet" | "danger" | "go";
  type?: "button" | "submit";
  icon?: IconName;
  /** Name of a button that shows only its icon, or a fuller one than its text. */
  label?: string;
  disabled?: boolean;
  /** State of a button that switches something on and off. */
  pressed?: boolean;
  testId?: string;
  onClick?: () => void;
  children?: ComponentChildren;
}

export function Button(props: ButtonProps) {
  const { kind = "plain", type = "button", icon, label, disabled = false, pressed, testId, onClick, children } = props;
  const iconOnly = children === undefined;
  return (
    <button
      type={type}
      class={`button button-${kind}${iconOnly ? " button-icon" : ""}`}
      disabled={disabled}
      aria-label={label}
      aria-pressed={pressed}
      title={iconOnly ? label : undefined}
      data-testid={testId}
      onClick={onClick}
    >
      {icon && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

interface ConfirmButtonProps {
  icon: IconName;
  text: string;
  label: string;
  yes: string;
  no: string;
  testId: string;
  onConfirm(): void;
}

/** A button that asks in place before it acts. The harmless answer has the focus. */
export function ConfirmButton({ icon, text, label, yes, no, testId, onConfirm }: ConfirmButtonProps) {
  const [asking, setAsking] = useState(false);
  const group = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    if (asking) group.current?.querySelector<HTMLButtonElement>("button:last-of-type")?.focus();
  }, [asking]);

  if (!asking) {
    return (
      <Button icon={icon} label={label} onClick={() => setAsking(true)} testId={testId}>
        {text}
      </Button>
    );
  }
  const decide = (act: boolean) => {
    setAsking(false);
    if (act) onConfirm();
  };
  return (
    <span
      class="confirm"
      role="group"
      aria-label={label}
      ref={group}
      onKeyDown={(event) => event.key === "Escape" && decide(false)}
    >
      <Button kind="danger" onClick={() => decide(true)} testId={`${testId}-yes`}>
        {yes}
      </Button>
      <Button onClick={() => decide(false)} testId={`${testId}-no`}>
        {no}
      </Button>
    </span>
  );
}
