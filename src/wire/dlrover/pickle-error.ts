/** Why a pickle was not read, and where. */

export class PickleError extends Error {
  /** Byte at which reading stopped. */
  readonly offset: number;

  constructor(offset: number, what: string, allowed: string) {
    super(`byte ${offset}: ${what}; allowed is ${allowed}`);
    this.name = "PickleError";
    this.offset = offset;
  }
}
