/** What each request of DLRover's agents that concerns nodes and worlds is answered with. What concerns neither is shared-requests.ts's. */

import { type GroupRecord, isFinished, type NodeRecord, trainers } from "../job-record.js";
import { type Ledger, isOver } from "../ledger.js";
import { isFit, isLive } from "../node-state.js";
import * as agents from "./agent-rules.js";
import type { DlroverQuestions, DlroverReports, PeerNode, Sender } from "./dlrover-request.js";
import type { World } from "./packed-world.js";

const noWorld: World = { round: 0, group: 0, world: [] };

/** The world of the node, or why it has to wait: null when nothing is to be said yet. */
export function worldOfPeer(ledger: Ledger, node: NodeRecord): World | null {
  const group = ledger.job.groups.get(node.group);
  if (group?.phase !== "sealed" || !group.members.has(node.id)) return null;
  agents.noteWorldTaken(ledger, node, group);
  return worldOfGroup(ledger, node);
}

/** After its wait: a node beside a world sees that world, so that it goes on waiting without a limit. */
export function worldAfterWait(ledger: Ledger, node: NodeRecord | null): World {
  const group = node ? ledger.job.groups.get(node.group) : undefined;
  return node && group?.phase === "sealed" ? worldOfGroup(ledger, node) : { ...noWorld, round: Math.max(0, (group?.round ?? 0) - 1) };
}

/** Members are other ones in each round: a world is made once. */
const worlds = new WeakMap<GroupRecord["members"], World["world"]>();

function worldOfGroup({ job }: Ledger, node: NodeRecord): World {
  const group = job.groups.get(node.group);
  if (!group) return noWorld;
  let world = worlds.get(group.members);
  if (!world) worlds.set(group.members, (world = [...group.members.values()].map(({ node: id, nproc }) => [job.nodes.get(id)?.nodeRank ?? 0, nproc])));
  return { round: group.round, group: 0, world };
}

/** How many wait for this node to join: 1 for a node whose ranks belong to a world that is over, -1 while the job stops. */
export function countWaiting(ledger: Ledger, sender: Sender): number {
  const { job } = ledger;
  if (isOver(ledger)) return job.mode === "idle" ? 0 : -1;
  const node = agents.peerOf(ledger, sender);
  const group = node ? job.groups.get(node.group) : undefined;
  if (!node || group?.phase !== "open" || !isFit(node.state) || isFinished(job, node)) return 0;
  if (!group.members.has(node.id) || group.joins.has(node.id)) return 0;
  return Math.max(1, group.joins.size);
}

export function noteNodeEvent(ledger: Ledger, sender: Sender, told: DlroverReports["node-event"]): boolean {
  const { address } = told.node;
  switch (told.event) {
    case "WAIT_PRE_CHECK":
      return agents.greetAgent(ledger, sender, { rank: told.node.rank, address, isNewLife: true }) !== null;
    case "SUCCEEDED_EXITED": {
      const node = agents.peerOf(ledger, sender);
      if (node) agents.noteAgentSucceeded(ledger, node);
      return true;
    }
    case "FAILED_EXITED": {
      const node = agents.peerOf(ledger, sender);
      if (node) agents.noteAgentFailed(ledger, node, "its agent gave up");
      return true;
    }
    default:
      return false;
  }
}

/** Levels are DLRover's: process_error, node_error, warning, rdzv_error, info, error. */
export function noteNodeFailure(ledger: Ledger, sender: Sender, told: DlroverReports["node-failure"]): boolean {
  const node = agents.peerOf(ledger, sender);
  if (!node) return false;
  if (told.level === "node_error") agents.callForReplacement(ledger, node, told.errorText.slice(0, 200) || "its agent blames the host");
  return told.level === "process_error" && agents.noteRankFailures(ledger, node, told.errorText);
}

/** Nodes whose agents are there. */
export function listRunning({ job }: Ledger): PeerNode[] {
  return [...job.nodes.values()].flatMap((node): PeerNode[] => {
    if (!isLive(node.state) || !node.hasAgent || node.agentId === null) return [];
    const { type, id } = agents.senderOf(node);
    const { cpu, memoryBytes, gpu } = node.resources;
    const address = node.address ?? node.facts?.address ?? "";
    return [{ type, id, rank: node.nodeRank, address, status: "Running", cpu, memoryMib: Math.round(memoryBytes / 2 ** 20), gpu, gpuType: "" }];
  });
}

/** Workers and chiefs whose ranks run, by type and id. */
export function runningWorkers({ job }: Ledger): string[] {
  return [...job.nodes.values()].flatMap(({ id, group, state, hasAgent }) => (group === trainers && hasAgent && isLive(state) ? [id] : []));
}

/** The members of the newest world. */
export function membersOfWorld({ job }: Ledger): string[] {
  return [...(job.groups.get(trainers)?.members.keys() ?? [])];
}

export function roundOfWorld({ job }: Ledger): number {
  return job.groups.get(trainers)?.round ?? 0;
}

export function checkBefore(ledger: Ledger, sender: Sender): DlroverQuestions["pre-check"][1] {
  const mayGoOn = agents.peerOf(ledger, sender) !== null || isOver(ledger); // Of a job that is over it hears when it joins.
  return mayGoOn ? { status: "PASS", reason: "" } : { status: "CHECKING", reason: "this node is not known yet" };
}
