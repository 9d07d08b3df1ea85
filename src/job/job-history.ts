/**
 * What each event makes of the record of a job. Replayed at recovery: no decision, no clock, no effect; total over events ever written.
 *
 * Nodes whose desired state may have changed get a new revision and are put into `touched`, for those who wait for it (J2).
 */

import { openBudget } from "./budget.js";
import type { DlroverEvent } from "./dlrover/dlrover-event.js";
import { applyDlroverEvent, openDlroverRecord } from "./dlrover/dlrover-record.js";
import { closeGoodput, noteStep, openGoodput } from "./goodput.js";
import type { JobEvent } from "./job-event.js";
import {
  agentEndsMax,
  type GroupRecord,
  isFinished,
  type JobRecord,
  type NodeRecord,
  openGroup,
  probesMax,
  trainers,
} from "./job-record.js";
import { noteFailure, noteRankEnd, noteRanksStarted, setRanks } from "./rank-history.js";
import { endNodeRecord, leaveRound, move, noteAgent, planNode, refit, retire, setAgent, touch } from "./node-history.js";
import { noteJoined, openRoundRecord, sealRoundRecord, standBy, stopRanks } from "./round-history.js";
import { isFit, isLive } from "./node-state.js";

export function applyJobEvent(job: JobRecord, event: JobEvent, touched: Set<string>): void {
  if ("node" in event) applyToNode(job, event, touched);
  else if ("group" in event) applyToGroup(job, event, touched);
  else if (isOfJob(event)) applyToJob(job, event, touched);
  else applyDlroverEvent(job.dlrover, event);
}

const jobEvents: ReadonlySet<string> = new Set<OfJob["type"]>([
  ...(["job-begun", "job-begun-again", "rendezvous-set", "nodes-paused", "nodes-resumed"] as const),
  ...(["job-over", "nodes-stopping", "nodes-gone", "stacks-asked"] as const),
]);

function isOfJob(event: OfJob | DlroverEvent): event is OfJob {
  return jobEvents.has(event.type);
}

type OfNode = Extract<JobEvent, { node: string }>;
type OfGroup = Exclude<Extract<JobEvent, { group: string }>, OfNode>;
type OfJob = Exclude<JobEvent, OfNode | OfGroup | DlroverEvent>;

function applyToJob(job: JobRecord, event: OfJob, touched: Set<string>): void {
  switch (event.type) {
    case "job-begun":
      job.spec = event.spec;
      job.mode = "active";
      job.budget = openBudget(event.spec.budget);
      job.goodput = openGoodput(event.atMs);
      job.groups.set(trainers, openGroup(trainers, event.atMs));
      return;
    case "job-begun-again":
      return beginAgain(job, event, touched);
    case "rendezvous-set":
      return setRendezvous(job, event);
    case "nodes-paused":
      job.mode = "paused";
      for (const group of job.groups.values()) pauseGroup(group);
      return eachLive(job, (node) => {
        move(node, "paused");
        stopRanks(node);
        touch(job, node, touched);
      });
    case "nodes-resumed":
      job.mode = "active";
      return eachLive(job, (node) => touch(job, node, touched));
    case "job-over":
      job.end = event.reason;
      return closeGoodput(job.goodput, event.atMs);
    case "nodes-stopping":
      job.mode = "stopping";
      job.stop = { because: event.because, graceMs: event.graceMs, sinceMs: event.atMs };
      if (job.goodput.endedAtMs === null) closeGoodput(job.goodput, event.atMs);
      for (const node of job.nodes.values()) {
        if (!node.hasAgent) move(node, "removed");
        touch(job, node, touched);
      }
      return;
    case "nodes-gone":
      job.isGone = true;
      return;
    case "stacks-asked":
      job.probes.push({ id: event.probe, awaited: new Set(event.nodes) });
      while (job.probes.length > probesMax) closeProbe(job, touched);
      for (const id of event.nodes) touchNamed(job, id, touched);
  }
}

function applyToGroup(job: JobRecord, event: OfGroup, touched: Set<string>): void {
  const group = job.groups.get(event.group);
  if (!group) return;
  switch (event.type) {
    case "round-opened":
      return openRoundRecord(job, group, event, touched);
    case "round-sealed":
      sealRoundRecord(job, group, event, touched);
      return setRanks(job, group);
    case "world-succeeded":
      group.phase = "succeeded";
      return;
    case "verdict-deferred":
      group.verdict = { code: event.code, because: event.because, dueAtMs: event.dueAtMs };
      return;
    case "verdict-dropped":
      group.verdict = null;
      return;
    case "step-noted":
      return noteStep(job.goodput, event.round, group.sealedAtMs, event.step, event.atMs);
  }
}

function applyToNode(job: JobRecord, event: OfNode, touched: Set<string>): void {
  if (event.type === "node-planned") return planNode(job, event);
  const node = job.nodes.get(event.node);
  if (!node) return;
  const group = job.groups.get(node.group);
  switch (event.type) {
    case "node-launched":
      move(node, "launched");
      Object.assign(node, { host: event.host, address: event.address, agentPid: event.pid, isUnplaceable: false });
      setAgent(job, node, true);
      return expect(group, node);
    case "node-unplaceable":
      node.isUnplaceable = true;
      group?.pending.delete(node.id);
      group?.awaited.delete(node.id);
      return;
    case "agent-registered":
      if (group && node.wish) leaveRound(job, group, node, event.atMs, true); // What its former agent wished.
      if (group?.phase === "open" && isFinished(job, node)) takePartAgain(group, node);
      noteAgent(job, node, event);
      if (group && isFit(node.state) && job.spec?.agents.kind !== "dlrover") standBy(group, node.id, event.atMs);
      return expect(group, node);
    case "node-found-fit":
      return noteFit(job, group, node, event.atMs, touched);
    case "node-stands-by":
      if (group) standBy(group, node.id, event.atMs);
      return;
    case "agent-ended":
      node.ranksLeftAlone = node.ranks.filter((rank) => rank.state === "starting" || rank.state === "running").length;
      node.agentEndedAtMs = [...node.agentEndedAtMs, event.atMs].slice(-agentEndsMax);
      node.wish = null;
      setAgent(job, node, false);
      if (group) leaveRound(job, group, node, event.atMs, isFit(node.state));
      if (event.isRestarted) job.plans += 1;
      if (job.mode === "stopping") move(node, "removed");
      return;
    case "agent-called-back":
      job.plans += 1;
      if (group) takePartAgain(group, node);
      return touch(job, node, touched);
    case "node-emptied":
      if (event.isCharged) job.budget.relaunches += 1;
      return;
    case "node-ended":
      return endNodeRecord(job, node, event, touched);
    case "replacement-called-for":
      node.isToBeReplaced = true;
      return;
    case "world-asked":
      node.wish = { nproc: event.nproc, storeHost: event.address, storePort: 0 };
      if (!isFit(node.state)) noteFit(job, group, node, event.atMs, touched);
      return;
    case "node-joined":
      if (group) noteJoined(job, group, node, event);
      return;
    case "ranks-started":
      return noteRanksStarted(node, event);
    case "world-taken":
      for (const rank of node.ranks) rank.state = "running";
      return;
    case "rank-succeeded":
    case "rank-stopped":
      return noteRankEnd(group, node, event);
    case "rank-failed":
      return noteFailure(group, node, event);
    case "stacks-answered":
      answerProbe(job, event.probe, node, touched);
  }
}

function beginAgain(job: JobRecord, event: Extract<JobEvent, { type: "job-begun-again" }>, touched: Set<string>): void {
  const { spec, attempt, atMs } = event;
  Object.assign(job, { spec, attempt, mode: "active", end: null, stop: null, isGone: false, probes: [], unfit: null });
  job.budget = openBudget(spec.budget);
  job.goodput = openGoodput(atMs);
  job.dlrover = openDlroverRecord();
  for (const node of job.nodes.values()) retire(job, node, touched);
  job.groups.clear();
  job.groups.set(trainers, { ...openGroup(trainers, atMs), round: job.rounds });
}

function setRendezvous(job: JobRecord, event: Extract<JobEvent, { type: "rendezvous-set" }>): void {
  const { min, max, unit, lastCallMs, joinTimeoutMs } = event;
  if (!job.spec) return;
  const roles = job.spec.roles.map((role) => (role.role === "worker" ? { ...role, nodes: { min, max, unit } } : role));
  job.spec = { ...job.spec, roles, rendezvous: { lastCallMs, joinTimeoutMs } };
  const group = job.groups.get(trainers);
  if (group?.phase === "open") refit(job, group, event.atMs);
}

function pauseGroup(group: GroupRecord): void {
  if (group.phase !== "succeeded") group.phase = "idle";
  group.joins.clear();
  group.joined.clear();
  group.awaited.clear();
  group.standby.clear();
  group.verdict = null;
}

function noteFit(job: JobRecord, group: GroupRecord | undefined, node: NodeRecord, atMs: number, touched: Set<string>): void {
  move(node, "found-fit");
  group?.pending.delete(node.id);
  if (group?.phase === "open") move(node, "round-opened");
  if (group?.phase === "sealed") standBy(group, node.id, atMs);
  touch(job, node, touched);
}

/** It had ended well and begins anew, while a round is open. */
function takePartAgain(group: GroupRecord, node: NodeRecord): void {
  move(node, "round-opened");
  group.awaited.add(node.id);
}

/** A live node that is not fit yet may become so, and is waited for. */
function expect(group: GroupRecord | undefined, node: NodeRecord): void {
  if (!group || !isLive(node.state) || isFit(node.state)) return;
  group.pending.add(node.id);
  if (group.phase === "open") group.awaited.add(node.id);
}

function answerProbe(job: JobRecord, id: string, node: NodeRecord, touched: Set<string>): void {
  job.probes.find((probe) => probe.id === id)?.awaited.delete(node.id);
  job.probes = job.probes.filter((probe) => probe.awaited.size > 0);
  touch(job, node, touched);
}

function closeProbe(job: JobRecord, touched: Set<string>): void {
  const oldest = job.probes.shift();
  for (const id of oldest?.awaited ?? []) touchNamed(job, id, touched);
}

function touchNamed(job: JobRecord, id: string, touched: Set<string>): void {
  const node = job.nodes.get(id);
  if (node) touch(job, node, touched);
}

function eachLive(job: JobRecord, change: (node: NodeRecord) => void): void {
  for (const node of job.nodes.values()) if (isLive(node.state)) change(node);
}
