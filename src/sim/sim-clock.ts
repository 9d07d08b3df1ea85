/**
 * Virtual time: what happens in a simulation happens because it was put here, in the order of its time, and among
 * equals in the order in which it was put. Nothing else moves the clock, so a run is the same every time.
 */

import type { Clock } from "../runtime/clock.js";

type Due = { readonly atMs: number; readonly order: number; call: (() => void) | null };

export class SimClock implements Clock {
  #nowMs: number;
  #order = 0;
  /** A binary heap, the next one first. */
  readonly #due: Due[] = [];

  constructor(startMs = 1_700_000_000_000) {
    this.#nowMs = startMs;
  }

  now(): number {
    return this.#nowMs;
  }

  setTimer(delayMs: number, call: () => void): () => void {
    const due: Due = { atMs: this.#nowMs + Math.max(0, delayMs), order: ++this.#order, call };
    this.#push(due);
    return () => {
      due.call = null;
    };
  }

  sleep(delayMs: number): Promise<void> {
    return new Promise((resolve) => void this.setTimer(delayMs, resolve));
  }

  /** Runs what is next, and moves time on to it; false if nothing is left before `untilMs`. */
  runNext(untilMs: number): boolean {
    for (let due = this.#due[0]; due !== undefined && due.atMs <= untilMs; due = this.#due[0]) {
      this.#pop();
      if (due.call === null) continue;
      this.#nowMs = due.atMs;
      due.call();
      return true;
    }
    return false;
  }

  #push(due: Due): void {
    const heap = this.#due;
    let index = heap.push(due) - 1;
    while (index > 0) {
      const above = (index - 1) >> 1;
      const parent = heap[above];
      if (parent === undefined || !isBefore(due, parent)) break;
      heap[index] = parent;
      index = above;
    }
    heap[index] = due;
  }

  #pop(): void {
    const heap = this.#due;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      const [one, other] = [heap[left], heap[left + 1]];
      if (one === undefined) break;
      const isOther = other !== undefined && isBefore(other, one);
      const least = isOther ? other : one;
      if (!isBefore(least, last)) break;
      heap[index] = least;
      index = isOther ? left + 1 : left;
    }
    heap[index] = last;
  }
}

function isBefore(one: Due, other: Due): boolean {
  return one.atMs < other.atMs || (one.atMs === other.atMs && one.order < other.order);
}
