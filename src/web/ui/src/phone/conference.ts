// Conferences in the node's mixer: their numbers are a prefix that the node tells, and one to eight digits.

const DIGITS = 8;

/** Whether a number is that of a conference. */
export function isRoom(number: string, prefix: string): boolean {
  return prefix !== "" && number.startsWith(prefix) && /^[0-9]{1,8}$/.test(number.slice(prefix.length));
}

/** The number of a conference that nobody else will think of. */
export function newRoom(prefix: string, draw: (octets: Uint8Array) => Uint8Array = (o) => crypto.getRandomValues(o)): string {
  let digits = "";
  while (digits.length < DIGITS) {
    // 250 and more would make some digits likelier than others.
    const fair = [...draw(new Uint8Array(DIGITS))].filter((octet) => octet < 250);
    digits += fair.map((octet) => octet % 10).join("");
  }
  return prefix + digits.slice(0, DIGITS);
}
