/** Events as sentences for people; what is of no interest on a screen has none. */

import type { HistoryEvent } from "../src/store/journal-messages.js";
import { fieldsText } from "../src/wire/event-json.js";

type Fields = Readonly<Record<string, unknown>>;

const texts: Readonly<Record<string, (event: Fields) => string | null>> = {
  "stage-changed": ({ to, because }) => `${text(to)}: ${text(because)}`,
  "rank-failed": ({ failure, host }) => {
    const { rank, reason, exitCode, signal } = failure as { rank: number; reason: string; exitCode: number | null; signal: string | null };
    return `rank ${rank} on ${text(host)} failed (${reason}, ${signal ?? `exit code ${String(exitCode)}`})`;
  },
  "round-sealed": ({ round, worldSize, because }) => `round ${text(round)}: a world of ${text(worldSize)} (${text(because)})`,
  "agent-ended": ({ node, because, isRestarted }) =>
    isRestarted === true ? `the agent of ${text(node)} ended (${text(because)}); another takes over its ranks` : null, // Else its node has ended, or the job.
  "agent-called-back": ({ node, because }) => `the agent of ${text(node)} had ended well and is started again: ${text(because)}`,
  "node-ended": ({ node, state, because }) => `${text(node)} ${text(state)}: ${text(because)}`,
  "node-unplaceable": ({ node, because }) => `${text(node)} finds no host: ${text(because)}`,
  "finding-noted": ({ finding }) => `diagnosis: ${text((finding as { summary: string }).summary)}`,
  "child-restarted": ({ child, because }) => `the ${text(child)} was restarted: ${text(because)}`,
  "scale-decided": ({ because }) => text(because),
};

/** Types of events that have a sentence. */
export const spokenTypes: readonly string[] = Object.keys(texts);

function text(value: unknown): string {
  return typeof value === "string" ? value : JSON.stringify(value);
}

/** One sentence, or null. */
export function sentenceOf({ event }: HistoryEvent): string | null {
  if (!event) return null;
  return texts[event.type]?.(event) ?? null;
}

/** Every event as one line: its own sentence, else its fields. */
export function lineOf(stored: HistoryEvent): string {
  const { commitSeq, actor, atMs, type, event } = stored;
  const rest = sentenceOf(stored) ?? shortened(fieldsText(event));
  return `${String(commitSeq).padStart(5)}  ${new Date(atMs).toISOString().slice(11, 23)}  ${actor.padEnd(19)} ${type}  ${rest}`;
}

function shortened(fields: string): string {
  return fields.length > 200 ? `${fields.slice(0, 200)}…` : fields;
}
