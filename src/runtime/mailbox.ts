/**
 * A bounded queue of two lanes: what waits for one actor.
 *
 * - M1  Control messages overtake the others; within a lane the order of arrival is kept.
 * - M2  At most `capacity` messages of the normal lane wait, and as many again of the control lane. What an actor gets for something that
 *       it did itself (an outcome, a timer) is never refused: there are no more of those than it asked for.
 *
 * Two arrays are swapped rather than one spliced: taking a message is constant in time, whatever waits.
 */

/** Messages that may wait in one lane, by default. At the limit an ask fails with `MAILBOX_FULL` and a tell is a dead letter. */
export const mailboxCapacity = 65_536;

/** The array that every empty lane shares, so that an idle actor costs nothing. */
const nothing: never[] = [];

class Lane<Item> {
  #filling: Item[] = nothing;
  #draining: Item[] = nothing;
  #next = 0;

  get length(): number {
    return this.#filling.length + this.#draining.length - this.#next;
  }

  push(item: Item): void {
    if (this.#filling === nothing) this.#filling = [];
    this.#filling.push(item);
  }

  shift(): Item | undefined {
    if (this.#next === this.#draining.length) {
      if (this.#filling.length === 0) return undefined;
      this.#draining = this.#filling;
      this.#filling = nothing;
      this.#next = 0;
    }
    return this.#draining[this.#next++];
  }
}

export class Mailbox<Item> {
  readonly #capacity: number;
  #control: Lane<Item> | null = null;
  readonly #normal = new Lane<Item>();

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  get depth(): number {
    return this.#normal.length + (this.#control?.length ?? 0);
  }

  /** False when the lane is full (M2). */
  push(item: Item, isControl: boolean): boolean {
    const lane = isControl ? (this.#control ??= new Lane<Item>()) : this.#normal;
    if (lane.length >= this.#capacity) return false;
    lane.push(item);
    return true;
  }

  /** Takes the item in whatever waits already. */
  pushOwn(item: Item, isControl: boolean): void {
    (isControl ? (this.#control ??= new Lane<Item>()) : this.#normal).push(item);
  }

  shift(): Item | undefined {
    return this.#control?.shift() ?? this.#normal.shift(); // M1
  }
}
