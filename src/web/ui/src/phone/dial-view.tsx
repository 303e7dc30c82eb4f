// Entering a number and calling it.

import { useState } from "preact/hooks";
import { t } from "../i18n";
import { Button } from "../parts/button";
import { Keypad } from "./keypad";
import { parseDialable } from "./number";

interface DialViewProps {
  number: string;
  onNumber(number: string): void;
  /** Registered: calls can be made. */
  ready: boolean;
  onDial(user: string): void;
}

export function DialView({ number, onNumber, ready, onDial }: DialViewProps) {
  const [invalid, setInvalid] = useState(false);
  const enter = (next: string) => {
    setInvalid(false);
    onNumber(next);
  };
  const submit = () => {
    const user = parseDialable(number);
    if (user === null) return setInvalid(true);
    onNumber("");
    onDial(user);
  };
  return (
    <form
      class="dial"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        if (ready && number.trim() !== "") submit();
      }}
    >
      <DialField number={number} invalid={invalid} onNumber={enter} />
      <Keypad label={t("dial.pad")} longPress={{ "0": "+" }} onKey={(key) => enter(number + key)} />
      <Button kind="go" type="submit" icon="phone" disabled={!ready || number.trim() === ""} testId="dial-call">
        {t("dial.call")}
      </Button>
    </form>
  );
}

interface DialFieldProps {
  number: string;
  invalid: boolean;
  onNumber(number: string): void;
}

function DialField({ number, invalid, onNumber }: DialFieldProps) {
  return (
    <>
      <div class="dial-field">
        <input
          type="text"
          class="dial-input"
          aria-label={t("dial.label")}
          aria-invalid={invalid}
          aria-describedby={invalid ? "dial-error" : undefined}
          placeholder={t("dial.placeholder")}
          autoComplete="off"
          autoCapitalize="none"
          spellcheck={false}
          value={number}
          data-testid="dial-input"
          onInput={(event) => onNumber(event.currentTarget.value)}
        />
        {number !== "" && (
          <Button
            kind="quiet"
            icon="erase"
            label={t("dial.erase")}
            onClick={() => onNumber(number.slice(0, -1))}
            testId="dial-erase"
          />
        )}
      </div>
      {invalid && (
        <p class="field-error" id="dial-error" role="alert">
          {t("dial.invalid", { text: number })}
        </p>
      )}
    </>
  );
}
