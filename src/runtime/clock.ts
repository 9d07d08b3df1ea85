/** Time as the runtime knows it: the system's clock, or one that a test or the simulator moves by hand. */

export interface Clock {
  /** Milliseconds since 1970; never goes back. */
  now(): number;
  /** Runs `call` after `delayMs`; gives what ends it. */
  setTimer(delayMs: number, call: () => void): () => void;
}

/** The clock of the process: wall time at its start, moved on by the monotonic clock. */
export const systemClock: Clock = {
  now: () => performance.timeOrigin + performance.now(),
  setTimer: (delayMs, call) => {
    const timer = setTimeout(call, delayMs);
    return () => clearTimeout(timer);
  },
};

type Timer = { atMs: number; order: number; call: () => void };

/** A clock that stands still until it is told to go on. */
export class ManualClock implements Clock {
  #nowMs: number;
  #order = 0;
  #timers: Timer[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, call: () => void): () => void {
    const timer = { atMs: this.#nowMs + delayMs, order: ++this.#order, call };
    this.#timers.push(timer);
    return () => {
      this.#timers = this.#timers.filter((other) => other !== timer);
    };
  }

  /** When the next timer is due, or null. */
  nextAtMs(): number | null {
    return this.#timers.reduce<number | null>((least, { atMs }) => (least === null || atMs < least ? atMs : least), null);
  }

  /** Moves time on and runs the first timer due by then; false when none was. */
  runNext(untilMs: number): boolean {
    const due = this.#timers.filter(({ atMs }) => atMs <= untilMs).sort((a, b) => a.atMs - b.atMs || a.order - b.order)[0];
    this.#nowMs = Math.max(this.#nowMs, due ? due.atMs : untilMs);
    if (!due) return false;
    this.#timers = this.#timers.filter((other) => other !== due);
    due.call();
    return true;
  }
}
