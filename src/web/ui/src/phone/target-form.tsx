// Asks in the middle of a call for a name or number: of a second call, or to where this one is to go.

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { t } from "../i18n";
import { Button } from "../parts/button";
import { parseDialable } from "./number";

interface TargetFormProps {
  purpose: "call" | "transfer" | "deflect";
  onTarget(user: string): void;
  onCancel(): void;
  /** Targets that need no number. */
  children?: ComponentChildren;
}

export function TargetForm({ purpose, onTarget, onCancel, children }: TargetFormProps) {
  const [number, setNumber] = useState("");
  const [invalid, setInvalid] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const submit = () => {
    const user = parseDialable(number);
    if (user === null) setInvalid(true);
    else onTarget(user);
  };
  return (
    <form
      class="target"
      noValidate
      onKeyDown={(event) => event.key === "Escape" && onCancel()}
      onSubmit={(event) => {
        event.preventDefault();
        if (number.trim() !== "") submit();
      }}
    >
      <label htmlFor="target-input">{t(`target.${purpose}`)}</label>
      <input
        id="target-input"
        type="text"
        class="dial-input"
        ref={field}
        aria-invalid={invalid}
        aria-describedby={invalid ? "target-error" : undefined}
        placeholder={t("dial.placeholder")}
        autoComplete="off"
        autoCapitalize="none"
        spellcheck={false}
        value={number}
        data-testid="target-input"
        onInput={(event) => {
          setInvalid(false);
          setNumber(event.currentTarget.value);
        }}
      />
      {invalid && (
        <p class="field-error" id="target-error" role="alert">
          {t("dial.invalid", { text: number })}
        </p>
      )}
      {children}
      <div class="call-buttons">
        <Button onClick={onCancel} testId="target-cancel">
          {t("target.cancel")}
        </Button>
        <Button kind="go" type="submit" icon="phone" disabled={number.trim() === ""} testId="target-submit">
          {t(`target.${purpose}.submit`)}
        </Button>
      </div>
    </form>
  );
}
