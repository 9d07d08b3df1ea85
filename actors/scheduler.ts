/**
 * The Scheduler: turns scale plans into agents on hosts, and hosts into nothing when the job ends.
 *
 * Owns where a node is placed and which process is its agent. Does not own whether an agent that ended is started again: it tells the
 * Job Manager, which answers with a plan. The rules of placing are src/job/placement.ts; launching is behind its port.
 *
 * - C1  A plan acts once: its id is remembered, and creating a node that is there, or restarting one that is being launched or whose
 *       agent is younger than `restartGuardMs`, does nothing.
 * - C2  A node is placed, waits with a reason, or is refused with a reason; the Job Manager and the Job Auto Scaler are told which.
 * - C3  After a restart nothing that lives is launched again: agents are watched by pid and start time, and launching is idempotent in
 *       the node (L1).
 * - C4  `close-hosts` is answered when no agent, nursery, rank or stray of the job is left on any host.
 * - C5  A report about an agent that is not the node's newest is ignored.
 */

import { emptyRoom, giveRoom, type HostRoom, placeNode, type PlacementStrategy, takeRoom } from "../src/job/placement.js";
import {
  applyPlacementEvent,
  newPlacementLedger,
  parsePlacements,
  type Placement,
  type PlacementEvent,
  type PlacementLedger,
  type PlacementSnapshot,
  takePlacements,
} from "../src/job/placement-ledger.js";
import type { HostRecord, NodeLaunch, ScalePlan } from "../src/job/scale-plan.js";
import type { AgentHandle, AgentSpec } from "../src/launch/launcher.js";
import { type LauncherCommand, openLauncherPort } from "../src/launch/launcher-port.js";
import { LocalLauncher } from "../src/launch/local-launcher.js";
import { type ActorContext, defineActor, type ReplyHandle } from "../src/runtime/actor.js";
import { jobAutoScaler, jobManager } from "./protocol/refs.js";
import type { PlacementView, SchedulerMessage } from "./protocol/scheduler.js";

export type SchedulerOptions = Readonly<{
  /** Default SPREAD. */
  strategy?: PlacementStrategy;
  /** Resources of the local machine beyond cpu, memory and gpu. Default none. */
  custom?: Readonly<Record<string, number>>;
}>;

const restartGuardMs = 5_000;
const retryMs = 1_000;

export type SchedulerState = {
  readonly ledger: PlacementLedger;
  readonly strategy: PlacementStrategy;
  readonly volatile: {
    readonly rooms: Map<string, HostRoom>;
    /** Nodes in the order in which they began to wait. */
    readonly waiting: Set<string>;
    isDiscovering: boolean;
    isSweeping: boolean;
    isKill: boolean;
    closers: ReplyHandle<{ ok: true }>[];
  };
};

type Context = ActorContext<SchedulerMessage, PlacementEvent>;

export const scheduler = defineActor<SchedulerState, SchedulerMessage, PlacementEvent, SchedulerOptions, LauncherCommand>({
  name: "scheduler",
  module: import.meta.url,
  init: (options) => stateOf(newPlacementLedger(), options),

  started(state, ctx) {
    const { opened, placements } = state.ledger;
    if (opened === null) return;
    discover(state, ctx);
    for (const placement of placements.values()) takeUp(state, placement, ctx); // C3
  },

  receive(state, message, ctx) {
    switch (message.type) {
      case "open-hosts": {
        const { masterAddress, tokenPath, jobDir, spec } = message;
        ctx.emit({ type: "hosts-opened", opened: { masterAddress, tokenPath, jobDir, graceMs: spec.stopGraceMs } });
        discover(state, ctx);
        break;
      }
      case "apply-plan":
        applyPlan(state, message.plan, ctx);
        break;
      case "close-hosts":
        closeHosts(state, message.isKill, ctx);
        break;
      case "get-placements":
        ctx.reply({ hosts: [...state.volatile.rooms.values()].map(({ record }) => record), placements: placementViews(state) });
        break;
      case "hosts-changed":
        changeHosts(state, message.hosts, ctx);
        break;
      case "agent-started":
        startedAgent(state, message, ctx);
        break;
      case "agent-start-failed":
        if (state.ledger.placements.get(message.node)?.state === "removing") endNode(state, message.node, ctx);
        else loseAgent(state, message.node, message.because, false, ctx);
        break;
      case "agent-ended": {
        const placement = state.ledger.placements.get(message.node);
        const isNewest = placement?.agent?.pid === message.pid && placement.agent.startTime === message.startTime;
        // C5; an agent that is being replaced ends, too.
        if (isNewest && placement.state === "running") loseAgent(state, message.node, message.because, message.isHostGone, ctx);
        break;
      }
      case "node-ended":
        endedNode(state, message.node, message.problem, ctx);
        break;
      case "retry-end":
        if (state.ledger.placements.get(message.node)?.state === "removing") endNode(state, message.node, ctx);
        break;
      case "hosts-swept":
        sweptHosts(state, message.problem, ctx);
        break;
      case "retry-sweep":
        sweepIfEmpty(state, ctx);
        break;
    }
  },

  apply: ({ ledger }, event) => applyPlacementEvent(ledger, event),
  snapshot: {
    version: 1,
    take: ({ ledger }) => takePlacements(ledger),
    parse: (taken, _version, options) => stateOf(parsePlacements(taken as PlacementSnapshot), options as SchedulerOptions),
  },
  openPort: (options, ctx) => openLauncherPort(new LocalLauncher(options.custom), ctx),
});

function stateOf(ledger: PlacementLedger, { strategy = "SPREAD" }: SchedulerOptions): SchedulerState {
  return {
    ledger,
    strategy,
    volatile: { rooms: new Map(), waiting: new Set(), isDiscovering: false, isSweeping: false, isKill: false, closers: [] },
  };
}

function discover(state: SchedulerState, ctx: Context): void {
  if (state.volatile.isDiscovering) return;
  state.volatile.isDiscovering = true;
  ctx.perform({ type: "discover-hosts" } satisfies LauncherCommand);
}

/** Goes on with a placement of an earlier life of this actor. */
function takeUp(state: SchedulerState, placement: Placement, ctx: Context): void {
  const { node } = placement.launch;
  switch (placement.state) {
    case "waiting":
      state.volatile.waiting.add(node);
      break;
    case "launching":
      launch(state, node, ctx);
      break;
    case "running": {
      const handle = handleOf(placement);
      if (handle !== null) ctx.perform({ type: "watch-agent", handle } satisfies LauncherCommand);
      break;
    }
    case "removing":
      endNode(state, node, ctx);
      break;
    case "ended":
      break;
  }
}

function applyPlan(state: SchedulerState, plan: ScalePlan, ctx: Context): void {
  const { planIds, placements } = state.ledger;
  if (planIds.has(plan.id)) return; // C1
  ctx.emit({ type: "plan-applied", plan: plan.id, reason: plan.reason });
  for (const node of plan.kill ?? []) remove(state, node, plan.reason, ctx, true);
  for (const node of plan.remove) remove(state, node, plan.reason, ctx);
  for (const node of plan.restart) restart(state, node, ctx);
  if (state.ledger.isClosing) {
    if (plan.create.length > 0) ctx.log("info", "nothing is placed while hosts are being closed", { plan: plan.id });
    return;
  }
  for (const launch of plan.create) if (!placements.has(launch.node)) place(state, launch, ctx); // C1
}

// C2
function place(state: SchedulerState, launching: NodeLaunch, ctx: Context): void {
  const { node, resources, avoidHosts } = launching;
  const { rooms, waiting } = state.volatile;
  const decision = placeNode({ node, resources, avoidHosts }, [...rooms.values()], state.strategy);
  switch (decision.kind) {
    case "place": {
      const room = rooms.get(decision.host);
      if (room !== undefined) takeRoom(room, resources);
      waiting.delete(node);
      ctx.emit({ type: "node-placed", launch: launching, host: decision.host, because: decision.because, atMs: ctx.now() });
      launch(state, node, ctx);
      break;
    }
    case "wait":
      if (waiting.has(node)) break;
      waiting.add(node);
      ctx.emit({ type: "node-queued", launch: launching, because: decision.because });
      // Before the hosts are known there is nothing to tell yet.
      if (rooms.size > 0) tellUnplaceable(node, decision.because, false, ctx);
      break;
    case "refuse":
      waiting.delete(node);
      ctx.emit({ type: "node-refused", node, because: decision.because });
      tellUnplaceable(node, decision.because, true, ctx);
      break;
  }
}

function tellUnplaceable(node: string, because: string, isForEver: boolean, ctx: Context): void {
  ctx.tell(jobManager, { type: "node-unplaceable", node, because, isForEver });
  ctx.tell(jobAutoScaler, { type: "node-unplaceable", node, because, isForEver });
}

function placeWaiting(state: SchedulerState, ctx: Context): void {
  for (const node of [...state.volatile.waiting]) {
    const placement = state.ledger.placements.get(node);
    if (placement?.state === "waiting") place(state, placement.launch, ctx);
  }
}

function launch(state: SchedulerState, node: string, ctx: Context): void {
  const placement = state.ledger.placements.get(node);
  const spec = placement === undefined ? null : specOf(state, placement);
  if (placement === undefined || spec === null) return;
  ctx.perform({ type: "launch-agent", spec, replace: handleOf(placement) } satisfies LauncherCommand);
}

function restart(state: SchedulerState, node: string, ctx: Context): void {
  const placement = state.ledger.placements.get(node);
  if (placement === undefined || (placement.state !== "running" && placement.state !== "ended")) return; // C1
  if (placement.state === "running" && ctx.now() - placement.launchedAtMs < restartGuardMs) return; // C1
  const room = placement.host === null ? undefined : state.volatile.rooms.get(placement.host);
  if (room?.record.isUp === true && placement.host !== null) {
    const because = "its agent is started again in place";
    ctx.emit({ type: "node-placed", launch: placement.launch, host: placement.host, because, atMs: ctx.now() });
    launch(state, node, ctx);
    return;
  }
  giveBack(state, placement);
  place(state, placement.launch, ctx);
}

function remove(state: SchedulerState, node: string, because: string, ctx: Context, isKill = false): void {
  const placement = state.ledger.placements.get(node);
  if (placement === undefined || placement.state === "removing") return;
  if (placement.state === "waiting") {
    state.volatile.waiting.delete(node);
    ctx.emit({ type: "node-removed", node });
    return;
  }
  const isInFlight = placement.state === "launching";
  ctx.emit({ type: "removal-begun", node, because });
  if (!isInFlight) endNode(state, node, ctx, isKill || state.volatile.isKill); // Else once the launch is through.
}

function endNode(state: SchedulerState, node: string, ctx: Context, isKill = state.volatile.isKill): void {
  const placement = state.ledger.placements.get(node);
  const spec = placement === undefined ? null : specOf(state, placement);
  if (placement === undefined || spec === null) return;
  ctx.perform({ type: "end-node", spec, handle: handleOf(placement), isKill } satisfies LauncherCommand);
}

function startedAgent(state: SchedulerState, message: SchedulerMessage & { type: "agent-started" }, ctx: Context): void {
  const { node, pid, startTime } = message;
  const placement = state.ledger.placements.get(node);
  if (placement?.host == null || (placement.state !== "launching" && placement.state !== "removing")) return;
  ctx.emit({ type: "agent-launched", node, agent: { pid, startTime } });
  if (placement.state === "removing") {
    endNode(state, node, ctx);
    return;
  }
  const address = state.volatile.rooms.get(placement.host)?.record.address ?? placement.host;
  ctx.tell(jobManager, { type: "node-launched", node, host: placement.host, address, pid });
}

function loseAgent(state: SchedulerState, node: string, because: string, isHostGone: boolean, ctx: Context): void {
  if (!state.ledger.placements.has(node)) return;
  ctx.emit({ type: "agent-lost", node, because, isHostGone });
  ctx.tell(jobManager, { type: "agent-exited", node, because, isHostGone });
}

function endedNode(state: SchedulerState, node: string, problem: string | null, ctx: Context): void {
  const placement = state.ledger.placements.get(node);
  if (placement?.state !== "removing") return;
  if (problem !== null) {
    ctx.log("error", "a node could not be ended; it is tried again", { node, problem });
    ctx.after(retryMs, `end ${node}`, { type: "retry-end", node });
    return;
  }
  giveBack(state, placement);
  ctx.emit({ type: "node-removed", node });
  ctx.tell(jobManager, { type: "agent-exited", node, because: "it was removed", isHostGone: false });
  placeWaiting(state, ctx);
  sweepIfEmpty(state, ctx);
}

// C4
function closeHosts(state: SchedulerState, isKill: boolean, ctx: Context): void {
  const { ledger, volatile } = state;
  volatile.closers.push(ctx.deferReply());
  const isHarder = isKill && !volatile.isKill;
  volatile.isKill ||= isKill;
  if (!ledger.isClosing) ctx.emit({ type: "closing-begun", isKill });
  for (const [node, placement] of [...ledger.placements]) {
    if (placement.state !== "removing") remove(state, node, "the job ends", ctx);
    else if (isHarder) endNode(state, node, ctx);
  }
  sweepIfEmpty(state, ctx);
}

function sweepIfEmpty(state: SchedulerState, ctx: Context): void {
  const { ledger, volatile } = state;
  if (!ledger.isClosing || ledger.placements.size > 0 || volatile.isSweeping || volatile.closers.length === 0) return;
  if (ledger.opened === null) {
    answerClosers(state, ctx);
    return;
  }
  volatile.isSweeping = true;
  ctx.perform({ type: "sweep-hosts", jobDir: ledger.opened.jobDir } satisfies LauncherCommand);
}

function sweptHosts(state: SchedulerState, problem: string | null, ctx: Context): void {
  state.volatile.isSweeping = false;
  if (problem !== null) {
    ctx.log("error", "processes of the job are left; it is tried again", { problem });
    ctx.after(retryMs, "sweep", { type: "retry-sweep" });
    return;
  }
  answerClosers(state, ctx);
}

function answerClosers(state: SchedulerState, ctx: Context): void {
  ctx.emit({ type: "hosts-closed" });
  for (const closer of state.volatile.closers) ctx.answer(closer, { ok: true });
  state.volatile.closers = [];
}

function changeHosts(state: SchedulerState, hosts: readonly HostRecord[], ctx: Context): void {
  const { rooms } = state.volatile;
  rooms.clear();
  for (const record of hosts) rooms.set(record.host, emptyRoom(record));
  for (const { host, launch: launched } of state.ledger.placements.values()) {
    const room = host === null ? undefined : rooms.get(host);
    if (room !== undefined) takeRoom(room, launched.resources);
  }
  ctx.tell(jobAutoScaler, { type: "observe-hosts", hosts });
  placeWaiting(state, ctx);
}

function giveBack(state: SchedulerState, placement: Placement): void {
  const room = placement.host === null ? undefined : state.volatile.rooms.get(placement.host);
  if (room !== undefined) giveRoom(room, placement.launch.resources);
}

function specOf(state: SchedulerState, placement: Placement): AgentSpec | null {
  const { opened } = state.ledger;
  if (opened === null || placement.host === null) return null;
  const { node, role, nodeRank } = placement.launch;
  return { node, role, nodeRank, host: placement.host, ...opened };
}

function handleOf({ launch: { node }, host, agent }: Placement): AgentHandle | null {
  return agent === null || host === null ? null : { node, host, ...agent };
}

function placementViews(state: SchedulerState): PlacementView[] {
  return [...state.ledger.placements.values()].map(({ launch: { node }, host, agent, state: placementState }) => ({
    node,
    host,
    pid: agent?.pid ?? null,
    state: placementState,
  }));
}
