// What people and links hand to the phone, turned into the user part of a SIP URI.
// RFC 3966 (tel:), RFC 3261 19.1.1 (sip:) and 25.1 (characters of a user part).

const VISUAL_SEPARATORS = /[\s().\-/\u00a0]/g;
const NUMBER = /^\+?[0-9*#A-D]+$/i;
const USER = /^[A-Za-z0-9_.!~*'&=+$,;?/#-]+$/;
const LENGTH_MAX = 64;

/**
 * The dialable part of `text`: a number without visual separators, or a name such as `echo`.
 * Takes `tel:` and `sip:`/`sips:` URIs, with or without percent-encoding. `null` when it cannot be dialled.
 */
export function parseDialable(text: string): string | null {
  const decoded = decode(text.trim());
  if (decoded === null) return null;
  const [, scheme = "", rest = ""] = /^(?:(tel|sips?):)?(.*)$/is.exec(decoded) ?? [];
  const user = userPart(scheme.toLowerCase(), rest);
  if (user.length === 0 || user.length > LENGTH_MAX) return null;
  const compact = user.replace(VISUAL_SEPARATORS, "");
  if (NUMBER.test(compact)) return compact;
  return scheme.toLowerCase() !== "tel" && USER.test(user) ? user : null;
}

/** The SIP URI that reaches `user` at `domain`, reserved characters escaped (RFC 3261 19.1.2). */
export function sipUri(user: string, domain: string): string {
  return `sip:${encodeURIComponent(user).replace(/%2B/g, "+")}@${domain}`;
}

/** The domain of an address of record such as `sip:101@example.com`. */
export function domainOf(uri: string): string {
  return uri
    .replace(/^sips?:/i, "")
    .replace(/^[^@]*@/, "")
    .replace(/[;?].*$/, "");
}

/** What `/phone?dial=` asks for. A link only fills the field in: a page must not make a phone call by itself. */
export function dialFromQuery(query: string): string {
  const wanted = new URLSearchParams(query).get("dial");
  // A literal "+" in a query reads as a space (HTML forms); in front of a number it was a plus.
  return wanted === null ? "" : (parseDialable(wanted.replace(/^((?:tel|sips?):)? (?=\d)/i, "$1+")) ?? "");
}

function userPart(scheme: string, rest: string): string {
  const withoutParameters = scheme === "" ? rest : rest.replace(/[;?].*$/s, "");
  const at = withoutParameters.indexOf("@");
  return scheme === "tel" || at < 0 ? withoutParameters : withoutParameters.slice(0, at);
}

/** Percent-decoded, unless a `%` begins no escape. */
function decode(text: string): string | null {
  try {
    return decodeURIComponent(text);
  } catch {
    return null;
  }
}
