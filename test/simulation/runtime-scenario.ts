/**
 * The runtime under faults: durable actors that count for clients, note to each other and ask each other, while links
 * and the network are late, lose and double, writes tear, and actors and the whole system crash. Judged at each step:
 * what left an actor was durable (R2), notes arrive in their order and once (R5), no request acts twice (R6); and at
 * the end: every ask was answered (R4), and what the actors recovered is the sum of what is on their disks (R3).
 */

import { actorRef } from "../../src/runtime/actor.js";
import { type NetworkFaults, SimClient } from "../../src/sim/sim-client.js";
import { SimRandom } from "../../src/sim/sim-random.js";
import { type SimCounts, SimSystem } from "../../src/sim/sim-system.js";
import { type AccountEvent, type AccountMessage, accountOf, type Sum } from "./runtime-accounts.js";
import { must } from "./shard-oracle.js";

const faultsMs = 8_000;
const patienceMs = 60_000;
const quiet: NetworkFaults = { delayMsMax: 5, lossChance: 0, doubleChance: 0 };

export type RuntimeReport = Readonly<{ requests: number; notes: number; counts: SimCounts; endedAtMs: number; trace: number }>;

export async function simulateRuntime(seed: number): Promise<RuntimeReport> {
  return new RuntimeScenario(seed).run();
}

/** What is durable of one account. */
type OnDisk = { total: number; sent: number };

class RuntimeScenario {
  readonly #random: SimRandom;
  readonly #system: SimSystem;
  readonly #network: NetworkFaults;
  readonly #accounts: string[];
  readonly #startMs: number;
  readonly #disks = new Map<string, OnDisk>();
  /** Where each request acted. */
  readonly #acted = new Map<string, string>();
  readonly #heard = new Map<string, number>();
  #requests = 0;
  #notes = 0;
  #working = 0;
  #trace = 0;

  constructor(seed: number) {
    const random = new SimRandom(seed ^ 0x1b873593);
    this.#random = random;
    const disk = { writeMsMax: random.pick([0, 3, 30]), stallChance: random.pick([0, 0.02]) };
    const faults = { ...disk, linkMsMax: random.pick([0, 2, 20]), restartMsMax: random.pick([5, 300]) };
    this.#network = {
      delayMsMax: random.pick([1, 30, 200]),
      lossChance: random.pick([0, 0.05, 0.3]),
      doubleChance: random.pick([0, 0.2]),
    };
    this.#system = new SimSystem(seed, faults, (actor, event) => this.#durable(actor, event as AccountEvent));
    this.#startMs = this.#system.clock.now();
    this.#accounts = Array.from({ length: random.between(1, 4) }, (_, number) => `account-${number}`);
  }

  async run(): Promise<RuntimeReport> {
    const system = this.#system;
    const definition = accountOf(this.#random.pick([1, 6, 50, 1_000]));
    const witness = { noted: this.#noted.bind(this) };
    for (const [number, id] of this.#accounts.entries()) {
      const peer = actorRef<AccountMessage>(this.#accounts[(number + 1) % this.#accounts.length] ?? id);
      this.#disks.set(id, { total: 0, sent: 0 });
      system.start({ id, definition, options: { peer, witness } });
    }
    this.#crashLater();
    for (let client = 0; client < this.#random.between(1, 4); client++) this.#script(this.#ask());
    await system.run(this.#startMs + faultsMs + patienceMs, () => this.#working === 0);
    must(this.#working === 0, `${this.#working} clients wait for an answer (R4)`);
    const endedAtMs = system.clock.now() - this.#startMs;
    this.#script(this.#audit());
    await system.run(system.clock.now() + patienceMs, () => this.#working === 0);
    must(this.#working === 0, "the audit was not answered (R4)");
    return { requests: this.#requests, notes: this.#notes, counts: system.counts, endedAtMs, trace: this.#trace };
  }

  get #isFaulty(): boolean {
    return this.#system.clock.now() - this.#startMs < faultsMs;
  }

  #client(): SimClient {
    return new SimClient(this.#system, () => (this.#isFaulty ? this.#network : quiet));
  }

  #durable(actor: string, event: AccountEvent): void {
    const text = `${actor}${JSON.stringify(event)}${this.#system.clock.now()}`;
    for (let index = 0; index < text.length; index++) {
      this.#trace = (Math.imul(this.#trace, 31) + text.charCodeAt(index)) | 0;
    }
    const disk = this.#diskOf(actor);
    if (event.type === "note-sent") disk.sent = event.number;
    if (event.type !== "added") return;
    must(!this.#acted.has(event.request), `${event.request} acted at ${actor} and at ${this.#acted.get(event.request) ?? ""} (R6)`);
    this.#acted.set(event.request, actor);
    disk.total += event.amount;
  }

  #noted(at: string, from: string, number: number): void {
    this.#system.check(() => {
      this.#notes += 1;
      must(number <= this.#diskOf(from).sent, `note ${number} of ${from} was heard before it was durable (R2)`);
      const link = `${from}>${at}`;
      must(number > (this.#heard.get(link) ?? 0), `note ${number} of ${from} came after ${this.#heard.get(link) ?? 0} (R5)`);
      this.#heard.set(link, number);
    });
  }

  #crashLater(): void {
    const everyMs = this.#random.pick([100, 700, 50_000]);
    this.#system.clock.setTimer(this.#random.between(1, 2 * everyMs), () => {
      if (!this.#isFaulty) return;
      if (this.#random.chance(0.2)) this.#system.crashAll();
      else if (this.#random.chance(0.5)) this.#system.crashInWrite(this.#pickAccount(), () => this.#isFaulty);
      else this.#system.crash(this.#pickAccount());
      this.#crashLater();
    });
  }

  #script(script: Promise<void>): void {
    this.#working += 1;
    script.then(
      () => (this.#working -= 1),
      (thrown: unknown) =>
        this.#system.check(() => {
          throw thrown;
        }),
    );
  }

  /** A client: requests one after the other, each named, each asked until it is answered. */
  async #ask(): Promise<void> {
    const client = this.#client();
    const count = this.#random.between(5, 25);
    for (let nth = 0; nth < count; nth++) {
      const request = `q${++this.#requests}`;
      const id = this.#pickAccount();
      const { total } = await this.#request(client, id, request);
      const actedAt = this.#acted.get(request);
      must(actedAt !== undefined, `${request} was answered before it was durable (R2)`);
      const durable = this.#diskOf(actedAt ?? "").total;
      must(total <= durable, `${actedAt ?? ""} answered ${total}, and ${durable} is durable (R2)`);
      await this.#system.clock.sleep(this.#random.between(0, 400));
    }
  }

  #request(client: SimClient, id: string, request: string): Promise<Sum> {
    const to = actorRef<AccountMessage>(id);
    const about = { request, amount: this.#random.between(1, 9) };
    const options = { requestId: request };
    switch (this.#random.between(0, 2)) {
      case 0:
        return client.ask(to, { type: "add", ...about }, options);
      case 1:
        return client.ask(to, { type: "add-later", ...about, delayMs: this.#random.between(0, 500) }, options);
      default: {
        const others = this.#accounts.filter((other) => other !== id);
        const other = others[this.#random.between(0, others.length - 1)];
        if (other === undefined) return client.ask(to, { type: "add", ...about }, options);
        return client.ask(to, { type: "add-elsewhere", ...about, to: actorRef<AccountMessage>(other) }, options);
      }
    }
  }

  /** R3: after one more crash of everything. */
  async #audit(): Promise<void> {
    this.#system.crashAll();
    const client = this.#client();
    for (const id of this.#accounts) {
      const { total } = await client.ask(actorRef<AccountMessage>(id), { type: "get-total" });
      const durable = this.#diskOf(id).total;
      must(total === durable, `${id} recovered ${total}, and its disk says ${durable} (R3)`);
    }
  }

  #pickAccount(): string {
    return this.#accounts[this.#random.between(0, this.#accounts.length - 1)] ?? "";
  }

  #diskOf(actor: string): OnDisk {
    const disk = this.#disks.get(actor);
    if (disk === undefined) throw new Error(`${actor} is no account`);
    return disk;
  }
}
