/**
 * Which node was placed where, and which process is its agent: the Scheduler's durable state and the only place that changes it.
 *
 * | state | from | by |
 * | --- | --- | --- |
 * | `waiting` | – , `ended` | a plan creates it (or restarts it and its host is gone) and no host has room |
 * | `launching` | `waiting`, `ended`, `running` | it was placed, or its agent is to be started again |
 * | `running` | `launching` | its agent lives |
 * | `ended` | `launching`, `running` | its agent is gone; nursery and ranks may live on |
 * | `removing` | any | a plan removes it, or the hosts are being closed |
 * | (no entry) | `waiting`, `removing` | nothing of it is left |
 *
 * - G1  An agent is recorded before anybody is told of it.
 * - G2  A plan id is remembered for the next `planIdsMax` plans.
 */

import type { NodeLaunch } from "./scale-plan.js";

export const planIdsMax = 1_000;

/** A process on the placement's host. */
export type AgentLife = Readonly<{ pid: number; startTime: string }>;

export type PlacementState = "waiting" | "launching" | "running" | "ended" | "removing";

export type Placement = Readonly<{
  launch: NodeLaunch;
  host: string | null;
  /** The agent that lives, or lived last. */
  agent: AgentLife | null;
  state: PlacementState;
  /** When the launch was decided. */
  launchedAtMs: number;
}>;

/** What agents need to find their way to the master. */
export type OpenedHosts = Readonly<{ masterAddress: string; tokenPath: string; jobDir: string; graceMs: number }>;

export type PlacementLedger = {
  opened: OpenedHosts | null;
  isClosing: boolean;
  readonly planIds: Set<string>;
  readonly placements: Map<string, Placement>;
};

export type PlacementEvent =
  | Readonly<{ type: "hosts-opened"; opened: OpenedHosts }>
  | Readonly<{ type: "plan-applied"; plan: string; reason: string }>
  | Readonly<{ type: "node-queued"; launch: NodeLaunch; because: string }>
  | Readonly<{ type: "node-refused"; node: string; because: string }>
  | Readonly<{ type: "node-placed"; launch: NodeLaunch; host: string; because: string; atMs: number }>
  | Readonly<{ type: "agent-launched"; node: string; agent: AgentLife }>
  | Readonly<{ type: "agent-lost"; node: string; because: string; isHostGone: boolean }>
  | Readonly<{ type: "removal-begun"; node: string; because: string }>
  | Readonly<{ type: "node-removed"; node: string }>
  | Readonly<{ type: "closing-begun"; isKill: boolean }>
  | Readonly<{ type: "hosts-closed" }>;

export function newPlacementLedger(): PlacementLedger {
  return { opened: null, isClosing: false, planIds: new Set(), placements: new Map() };
}

export function applyPlacementEvent(ledger: PlacementLedger, event: PlacementEvent): void {
  const { placements } = ledger;
  switch (event.type) {
    case "hosts-opened":
      ledger.opened = event.opened;
      ledger.isClosing = false;
      break;
    case "plan-applied":
      remember(ledger.planIds, event.plan);
      break;
    case "node-queued":
      placements.set(event.launch.node, { launch: event.launch, host: null, agent: null, state: "waiting", launchedAtMs: 0 });
      break;
    case "node-refused":
      placements.delete(event.node);
      break;
    case "node-placed": {
      const agent = placements.get(event.launch.node)?.agent ?? null;
      placements.set(event.launch.node, { launch: event.launch, host: event.host, agent, state: "launching", launchedAtMs: event.atMs });
      break;
    }
    case "agent-launched":
      // A removal that began while the agent was being launched goes on.
      change(placements, event.node, (placement) => ({
        ...placement,
        agent: event.agent,
        state: placement.state === "removing" ? "removing" : "running",
      }));
      break;
    case "agent-lost":
      change(placements, event.node, (placement) => ({ ...placement, state: "ended" }));
      break;
    case "removal-begun":
      change(placements, event.node, (placement) => ({ ...placement, state: "removing" }));
      break;
    case "node-removed":
      placements.delete(event.node);
      break;
    case "closing-begun":
      ledger.isClosing = true;
      break;
    case "hosts-closed":
      break;
  }
}

export type PlacementSnapshot = Readonly<{
  opened: OpenedHosts | null;
  isClosing: boolean;
  planIds: readonly string[];
  placements: readonly Placement[];
}>;

export function takePlacements(ledger: PlacementLedger): PlacementSnapshot {
  const { opened, isClosing, planIds, placements } = ledger;
  return { opened, isClosing, planIds: [...planIds], placements: [...placements.values()] };
}

export function parsePlacements(taken: PlacementSnapshot): PlacementLedger {
  const { opened, isClosing, planIds, placements } = taken;
  return {
    opened,
    isClosing,
    planIds: new Set(planIds),
    placements: new Map(placements.map((placement) => [placement.launch.node, placement])),
  };
}

function change(placements: Map<string, Placement>, node: string, to: (placement: Placement) => Placement): void {
  const placement = placements.get(node);
  if (placement !== undefined) placements.set(node, to(placement));
}

// G2
function remember(ids: Set<string>, id: string): void {
  ids.add(id);
  if (ids.size <= planIdsMax) return;
  const [oldest] = ids;
  if (oldest !== undefined) ids.delete(oldest);
}
