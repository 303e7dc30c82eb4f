// The form that stands alone on its page, and its fields.

import type { ComponentChildren } from "preact";
import { useId } from "preact/hooks";
import { t } from "../i18n";
import { Mark } from "../parts/icons";

interface FormCardProps {
  title: string;
  lead: string;
  onSubmit(): void;
  corner?: ComponentChildren;
  children: ComponentChildren;
}

export function FormCard({ title, lead, onSubmit, corner, children }: FormCardProps) {
  return (
    <main class="alone">
      <form
        class="form-card"
        noValidate
        onSubmit={(event) => {
          event.preventDefault();
          onSubmit();
        }}
      >
        <div class="form-brand">
          <Mark size={40} />
          <span class="brand-name">{t("app.name")}</span>
          {corner}
        </div>
        <h1>{title}</h1>
        <p class="muted">{lead}</p>
        {children}
      </form>
    </main>
  );
}

interface FieldProps {
  label: string;
  value: string;
  onInput(value: string): void;
  autoComplete: string;
  testId: string;
  /** Explains what is expected; read out with the field. */
  hint?: string;
}

export function TextField(props: FieldProps) {
  return <Field {...props} type="text" />;
}

export function PasswordField({ shown, ...props }: FieldProps & { shown: boolean }) {
  return <Field {...props} type={shown ? "text" : "password"} />;
}

/** Shows what stands in the password fields of a form. */
export function ShowPasswords({ shown, onChange }: { shown: boolean; onChange(shown: boolean): void }) {
  return (
    <label class="check">
      <input type="checkbox" checked={shown} onChange={(event) => onChange(event.currentTarget.checked)} />
      {t("signin.show")}
    </label>
  );
}

type InnerProps = FieldProps & { type: "text" | "password" };

function Field({ label, value, onInput, autoComplete, testId, hint, type }: InnerProps) {
  const id = useId();
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <input
        id={id}
        // Preact's types know one type of input at a time, not a choice of two.
        type={type as "text"}
        value={value}
        autoComplete={autoComplete}
        autoCapitalize="none"
        spellcheck={false}
        data-testid={testId}
        aria-describedby={hint === undefined ? undefined : `${id}-hint`}
        onInput={(event) => onInput(event.currentTarget.value)}
      />
      {hint !== undefined && (
        <p class="hint" id={`${id}-hint`}>
          {hint}
        </p>
      )}
    </div>
  );
}
