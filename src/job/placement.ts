/**
 * On which host a node goes: a pure decision that returns its reason.
 *
 * - P1  A host is never promised more than it has, of any resource, nor more nodes than `nodesMax`.
 * - P2  A node that no host could hold even if it were empty is refused, with a sentence that names what is lacking; one that fits
 *       nowhere now but somewhere else in time waits.
 * - P3  A host to avoid is taken only if no other host could ever hold the node: one machine is better than no job.
 * - P4  The same hosts, nodes and strategy give the same answer; ties go to the host that was listed first.
 */

import type { Resources } from "./job-spec.js";
import type { HostRecord } from "./scale-plan.js";

/** `PACK`: as few hosts as possible. `SPREAD`: the host with the fewest nodes. As Ray's placement groups. */
export type PlacementStrategy = "PACK" | "SPREAD";

export type PlacementRequest = Readonly<{ node: string; resources: Resources; avoidHosts: readonly string[] }>;

/** A host and what is left of it. Kept up to date by `takeRoom` and `giveRoom`, so that a placement costs one look at each host. */
export type HostRoom = Readonly<{ record: HostRecord }> & { nodes: number; free: Resources };

export function emptyRoom(record: HostRecord): HostRoom {
  return { record, nodes: 0, free: record.total };
}

export function takeRoom(room: HostRoom, resources: Resources): void {
  room.nodes += 1;
  room.free = sum(room.free, resources, -1);
}

export function giveRoom(room: HostRoom, resources: Resources): void {
  room.nodes -= 1;
  room.free = sum(room.free, resources, 1);
}

export type PlacementDecision =
  | Readonly<{ kind: "place"; host: string; because: string }>
  | Readonly<{ kind: "wait"; because: string }>
  | Readonly<{ kind: "refuse"; because: string }>;

type Shortage = Readonly<{ resource: string; wanted: string; has: string; share: number }>;

export function placeNode(
  request: PlacementRequest,
  rooms: readonly HostRoom[],
  strategy: PlacementStrategy,
): PlacementDecision {
  if (rooms.length === 0) return { kind: "wait", because: `${request.node} waits: no host is known yet.` };
  const able = rooms.filter(({ record }) => shortageOf(request.resources, record.total) === null);
  if (able.length === 0) return { kind: "refuse", because: refusal(request, rooms) };

  const others = able.filter(({ record }) => !request.avoidHosts.includes(record.host));
  const candidates = (others.length > 0 ? others : able).filter(({ record }) => record.isUp); // P3
  const open = candidates.filter((room) => room.nodes < room.record.nodesMax && shortageOf(request.resources, room.free) === null); // P1
  const [first, ...rest] = open;
  if (first === undefined) return { kind: "wait", because: waiting(request, candidates) };
  const best = rest.reduce((chosen, room) => (isBetter(room, chosen, strategy) ? room : chosen), first); // P4
  const avoided = others.length > 0 ? "" : "; no other host could ever hold it";
  const because = `${strategy} over ${rooms.length} hosts, ${best.nodes} nodes there before${request.avoidHosts.length > 0 ? avoided : ""}`;
  return { kind: "place", host: best.record.host, because };
}

function isBetter(room: HostRoom, than: HostRoom, strategy: PlacementStrategy): boolean {
  const difference = room.nodes - than.nodes || loadOf(room) - loadOf(than);
  return strategy === "PACK" ? difference > 0 : difference < 0;
}

function loadOf({ record: { total }, free }: HostRoom): number {
  return share(total.cpu - free.cpu, total.cpu) + share(total.gpu - free.gpu, total.gpu);
}

function sum(left: Resources, right: Resources, sign: 1 | -1): Resources {
  const custom = Object.fromEntries(
    Object.entries(left.custom).map(([name, amount]) => [name, amount + sign * (right.custom[name] ?? 0)]),
  );
  return {
    cpu: left.cpu + sign * right.cpu,
    memoryBytes: left.memoryBytes + sign * right.memoryBytes,
    gpu: left.gpu + sign * right.gpu,
    custom,
  };
}

/** The resource of which `has` is furthest from `wanted`, or null where everything fits. Amounts are compared to a billionth. */
function shortageOf(wanted: Resources, has: Resources): Shortage | null {
  const pairs: [string, number, number][] = [
    ["cpu", wanted.cpu, has.cpu],
    ["memory", wanted.memoryBytes, has.memoryBytes],
    ["gpu", wanted.gpu, has.gpu],
    ...Object.entries(wanted.custom).map(([name, amount]): [string, number, number] => [name, amount, has.custom[name] ?? 0]),
  ];
  const short = pairs.filter(([, want, have]) => want > have + 1e-9);
  const [worst] = short.sort((a, b) => share(a[2], a[1]) - share(b[2], b[1]));
  if (worst === undefined) return null;
  const [resource, want, have] = worst;
  return { resource, wanted: amountText(resource, want), has: amountText(resource, have), share: share(have, want) };
}

function refusal(request: PlacementRequest, rooms: readonly HostRoom[]): string {
  const shortages = rooms.flatMap(({ record }) => {
    const shortage = shortageOf(request.resources, record.total);
    return shortage === null ? [] : [{ host: record.host, ...shortage }];
  });
  const [first, ...rest] = shortages;
  if (first === undefined) throw new Error(`${request.node} is refused though a host could hold it`);
  const nearest = rest.reduce((chosen, shortage) => (shortage.share > chosen.share ? shortage : chosen), first);
  const whose = rooms.length === 1 ? `host ${nearest.host} has` : `the nearest of ${rooms.length} hosts, ${nearest.host}, has`;
  return `${request.node} can never be placed: it takes ${nearest.wanted} of ${nearest.resource}, and ${whose} ${nearest.has}.`;
}

function waiting(request: PlacementRequest, rooms: readonly HostRoom[]): string {
  if (rooms.length === 0) return `${request.node} waits: no host that could hold it is up.`;
  const causes = rooms.slice(0, 3).map(({ record, nodes, free }) => {
    const shortage = shortageOf(request.resources, free);
    if (shortage === null) return `${record.host} holds ${nodes} of ${record.nodesMax} nodes`;
    return `${record.host} has ${shortage.has} of ${shortage.resource} free of the ${shortage.wanted} that it takes`;
  });
  const more = rooms.length > 3 ? `; and ${rooms.length - 3} more` : "";
  return `${request.node} waits: ${causes.join("; ")}${more}.`;
}

function amountText(resource: string, amount: number): string {
  return resource === "memory" ? `${(amount / 2 ** 30).toFixed(2)} GiB` : String(Math.round(amount * 1_000) / 1_000);
}

function share(part: number, whole: number): number {
  return whole > 0 ? part / whole : 0;
}
