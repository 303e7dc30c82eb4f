// What a new password has to be. The node checks it again.

import type { Key } from "../i18n";

/** Characters that a password has at least. */
export const PASSWORD_MIN = 12;

export interface PasswordForm {
  user: string;
  current: string;
  next: string;
  again: string;
}

/** The text that says what is wrong with a new password, or `null`. Counted in characters, not in UTF-16 units. */
export function newPasswordProblem({ user, current, next, again }: PasswordForm): Key | null {
  if (current === "") return "password.missing";
  if ([...next].length < PASSWORD_MIN) return "password.short";
  if (next === current || next === user) return "password.same";
  return next === again ? null : "password.differ";
}
