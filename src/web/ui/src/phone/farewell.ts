// A hang-up is owed to the node until the node has answered it. While the connection is away a BYE goes nowhere, and JsSIP
// forgets it; the other party would hear silence until the node misses this browser's consent (RFC 7675).

/** No longer than a node holds a call whose browser is gone: after that there is nobody left to tell. */
const OWED_MS = 60_000;

/** What of a JsSIP client transaction is looked at. */
export interface ByeTransaction {
  readonly id: string;
  readonly request: { readonly method: string; toString(): string };
  readonly state?: number;
  on(event: "stateChanged", listener: () => void): void;
}

/** JsSIP's `Transactions.C.STATUS_COMPLETED`: a final response came. */
const COMPLETED = 5;

/** Keeps each BYE until it is answered, and says it again on the next connection. */
export class Farewells {
  private readonly owed = new Map<string, { text: string; since: number }>();

  /** `say` sends the text of a message on the connection as it is now. */
  constructor(
    private readonly say: (text: string) => void,
    private readonly now: () => number = Date.now,
  ) {}

  /** A transaction begins; its request has its Via already, so that a repetition is the same request. */
  watch(transaction: ByeTransaction): void {
    if (transaction.request.method !== "BYE") return;
    this.owed.set(transaction.id, { text: transaction.request.toString(), since: this.now() });
    transaction.on("stateChanged", () => {
      if (transaction.state === COMPLETED) this.owed.delete(transaction.id);
    });
  }

  /** The node can be told again, and knows this phone by its connection: before that it would ask who speaks. */
  registered(): void {
    for (const [id, { text, since }] of this.owed) {
      if (this.now() - since > OWED_MS) this.owed.delete(id);
      else this.say(text);
    }
  }
}
