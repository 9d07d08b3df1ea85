/**
 * The Scheduler's port: carries its commands to a launcher and tells it what came of them. Holds no rule.
 *
 * Launches are paced, one a turn of the event loop: starting a process blocks it for about a millisecond (LIMITS 9).
 */

import { setImmediate as nextTurn } from "node:timers/promises";
import type { HostRecord } from "../job/scale-plan.js";
import type { ActorPort, PortContext, Tell } from "../runtime/actor.js";
import type { AgentHandle, AgentSpec, Launcher } from "./launcher.js";

export type LauncherCommand =
  | Readonly<{ type: "discover-hosts" }>
  /** `replace`: this agent is killed first. */
  | Readonly<{ type: "launch-agent"; spec: AgentSpec; replace: AgentHandle | null }>
  | Readonly<{ type: "watch-agent"; handle: AgentHandle }>
  | Readonly<{ type: "end-node"; spec: AgentSpec; handle: AgentHandle | null; isKill: boolean }>
  | Readonly<{ type: "sweep-hosts"; jobDir: string }>;

/** What the port tells the Scheduler. `problem` is null where all went well. */
export type LauncherReport =
  | Tell<"hosts-changed", { hosts: readonly HostRecord[] }>
  | Tell<"agent-started", { node: string; pid: number; startTime: string }>
  | Tell<"agent-start-failed", { node: string; because: string }>
  | Tell<"agent-ended", { node: string; pid: number; startTime: string; because: string; isHostGone: boolean }>
  | Tell<"node-ended", { node: string; problem: string | null }>
  | Tell<"hosts-swept", { problem: string | null }>;

export function openLauncherPort(launcher: Launcher, context: PortContext<LauncherReport>): ActorPort<LauncherCommand> {
  const tell = (report: LauncherReport): void => context.tell(context.self, report);
  let lastLaunch: Promise<unknown> = Promise.resolve();
  let isClosed = false;

  const watch = (handle: AgentHandle): void => {
    launcher.watch(handle, (end) => {
      if (!isClosed) tell({ type: "agent-ended", node: handle.node, pid: handle.pid, startTime: handle.startTime, ...end });
    });
  };
  const launch = async (spec: AgentSpec, replace: AgentHandle | null): Promise<void> => {
    await nextTurn();
    if (isClosed) return;
    try {
      if (replace !== null) await launcher.kill(replace);
      const handle = await launcher.launch(spec);
      tell({ type: "agent-started", node: spec.node, pid: handle.pid, startTime: handle.startTime });
      watch(handle);
    } catch (error) {
      tell({ type: "agent-start-failed", node: spec.node, because: textOf(error) });
    }
  };
  const problemOf = (work: Promise<void>): Promise<string | null> => work.then(() => null, textOf);

  return {
    perform(command) {
      switch (command.type) {
        case "discover-hosts":
          launcher.discoverHosts((hosts) => tell({ type: "hosts-changed", hosts }));
          break;
        case "launch-agent":
          lastLaunch = lastLaunch.then(() => launch(command.spec, command.replace));
          break;
        case "watch-agent":
          watch(command.handle);
          break;
        case "end-node":
          void problemOf(launcher.end(command.spec, command.handle, command.isKill)).then((problem) =>
            tell({ type: "node-ended", node: command.spec.node, problem }),
          );
          break;
        case "sweep-hosts":
          void problemOf(launcher.sweep(command.jobDir)).then((problem) => tell({ type: "hosts-swept", problem }));
          break;
      }
    },
    close() {
      isClosed = true;
      launcher.close();
      return Promise.resolve();
    },
  };
}

function textOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
