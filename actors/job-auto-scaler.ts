/**
 * Job Auto Scaler: how many nodes a job has, and with what resources.
 *
 * Owns the target and the names of nodes. Decisions are src/job/scaling.ts's; each is an event with its reason, told to the Job Manager
 * (what the job should become) and to the Scheduler (the plan that makes it so). Does not own budgets: the Job Manager asks for a
 * replacement only while it may.
 *
 * - Z1  A decision acts once: its plan has an id that the Scheduler remembers, and the Job Manager ignores nodes that it knows.
 * - Z2  After a restart the newest plans are said again, for somebody may have missed them.
 */

import {
  applyDecision,
  decideAfterHosts,
  decideBeginning,
  decideClearing,
  decideReplacement,
  decideTarget,
  openScaling,
  type ScaleDecision,
  type ScalingState,
  workerOf,
} from "../src/job/scaling.js";
import type { JobSpec } from "../src/job/job-spec.js";
import type { HostRecord } from "../src/job/scale-plan.js";
import { type ActorContext, defineActor } from "../src/runtime/actor.js";
import type { JobAutoScalerMessage } from "./protocol/job-auto-scaler.js";
import { jobManager, scheduler } from "./protocol/refs.js";

/** Plans that are said again after a restart. */
const plansMax = 64;

export type JobAutoScalerEvent =
  | Readonly<{ type: "scaling-begun"; spec: JobSpec }>
  | Readonly<{ type: "scale-decided"; plan: string; decision: ScaleDecision; because: string }>
  | Readonly<{ type: "hosts-observed"; hosts: readonly HostRecord[] }>
  | Readonly<{ type: "node-refused"; node: string; because: string }>
  | Readonly<{ type: "scaling-ended" }>;

type Plan = Readonly<{ plan: string; decision: ScaleDecision }>;

export type JobAutoScalerState = { readonly scaling: ScalingState; plans: Plan[]; planCount: number };

type Context = ActorContext<JobAutoScalerMessage, JobAutoScalerEvent>;

export const jobAutoScaler = defineActor<JobAutoScalerState, JobAutoScalerMessage, JobAutoScalerEvent>({
  name: "job-auto-scaler",
  module: import.meta.url,
  init: () => ({ scaling: openScaling(), plans: [], planCount: 0 }),
  started(state, ctx) {
    if (!state.scaling.isEnding) for (const plan of state.plans) tellPlan(state, plan, ctx); // Z2
  },
  receive,
  apply,
  snapshot: { version: 1, take: (state) => state, parse: (taken) => taken as JobAutoScalerState },
});

function receive(state: JobAutoScalerState, message: JobAutoScalerMessage, ctx: Context): void {
  const { scaling } = state;
  switch (message.type) {
    case "begin-scaling":
      if (scaling.spec && !scaling.isEnding) return resume(state, message.nodes.flatMap(({ node, isEnded }) => (isEnded ? [node] : [])), ctx);
      ctx.emit({ type: "scaling-begun", spec: message.spec });
      return carryOut(state, decideBeginning(scaling, message.spec), ctx);
    case "end-scaling":
      if (!scaling.isEnding) ctx.emit({ type: "scaling-ended" });
      return;
    case "observe-nodes": {
      const ended = message.nodes.flatMap(({ node, isEnded }) => (isEnded ? [node] : []));
      return carryOut(state, decideClearing(scaling, ended), ctx);
    }
    case "replace-node": {
      const heir = scaling.nodes.get(message.node)?.replacedBy;
      const said = state.plans.find(({ decision }) => decision.create.some(({ node }) => node === heir));
      if (said) return tellPlan(state, said, ctx); // Z1
      return carryOut(state, decideReplacement(scaling, message), ctx);
    }
    case "observe-hosts": {
      const decision = decideAfterHosts(scaling, message.hosts);
      if (JSON.stringify(message.hosts) !== JSON.stringify(scaling.hosts)) ctx.emit({ type: "hosts-observed", hosts: message.hosts });
      return carryOut(state, decision, ctx);
    }
    case "node-unplaceable":
      if (message.isForEver && scaling.nodes.get(message.node)?.isEnded === false) {
        ctx.emit({ type: "node-refused", node: message.node, because: message.because });
      }
      return;
    case "scale-job": {
      const from = scaling.target;
      const decision = decideTarget(scaling, message.nodes, message.because);
      if ("code" in decision) return ctx.reply(decision);
      carryOut(state, decision, ctx);
      return ctx.reply({ ok: true, from, to: decision.target });
    }
    case "get-scaling": {
      const nodes = scaling.spec ? workerOf(scaling.spec)?.nodes : undefined;
      return ctx.reply({ target: scaling.target, min: nodes?.min ?? 0, max: nodes?.max ?? 0, lastReason: scaling.lastReason });
    }
  }
}

function apply(state: JobAutoScalerState, event: JobAutoScalerEvent): void {
  const { scaling } = state;
  switch (event.type) {
    case "scaling-begun":
      Object.assign(scaling, { spec: event.spec, isEnding: false });
      for (const node of scaling.nodes.values()) node.isEnded = true; // Of an attempt that is over.
      return;
    case "scale-decided":
      state.planCount += 1;
      state.plans = [...state.plans, { plan: event.plan, decision: event.decision }].slice(-plansMax);
      return applyDecision(scaling, event.decision);
    case "hosts-observed":
      scaling.hosts = event.hosts;
      return;
    case "node-refused": {
      const node = scaling.nodes.get(event.node);
      if (node) node.isEnded = true;
      return;
    }
    case "scaling-ended":
      scaling.isEnding = true;
  }
}

function carryOut(state: JobAutoScalerState, decision: ScaleDecision | null, ctx: Context): void {
  if (!decision) return;
  const plan = `scale-${state.planCount + 1}`;
  ctx.emit({ type: "scale-decided", plan, decision, because: decision.because });
  tellPlan(state, { plan, decision }, ctx);
}

/** The Job Manager first: it ends what leaves before its process does. Nodes that have ended since are not made again. */
function tellPlan({ scaling }: JobAutoScalerState, { plan, decision }: Plan, ctx: Context): void {
  const { remove, because } = decision;
  const create = decision.create.filter(({ node }) => scaling.nodes.get(node)?.isEnded === false);
  ctx.tell(jobManager, { type: "resize-job", nodes: create, remove, because });
  ctx.tell(scheduler, { type: "apply-plan", plan: { id: plan, reason: because, create, remove, restart: [] } });
}

function resume(state: JobAutoScalerState, ended: readonly string[], ctx: Context): void {
  for (const plan of state.plans) tellPlan(state, plan, ctx); // Z2
  carryOut(state, decideClearing(state.scaling, ended), ctx);
}
