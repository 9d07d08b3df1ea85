/**
 * Datasets and their shards, as clients name them: what may be registered, and what counts as the same dataset.
 *
 * A dataset is a number of records and nothing else; what a record is, only the workers know.
 */

export type DatasetSpec = Readonly<{
  /** 1 to 128 characters. */
  name: string;
  /**
   * `table`: ranges of rows; `text`: record indices (shuffled within a shard too); `stream`: ranges of an offset that
   * grows.
   */
  kind: "table" | "text" | "stream";
  /** Records, 0 to 2^53-1. For a stream: what is known so far. */
  size: number;
  /** Records a shard, 1 to 1,000,000; of a text, whose shards name each record, to 100,000. */
  shardSize: number;
  /** 1 to 1,000,000; a stream has one. */
  epochs: number;
  /** Another order in each epoch, made from `seed`. A stream keeps the order in which it came. */
  isShuffled: boolean;
  /** Any whole number from -(2^53-1) to 2^53-1. */
  seed: number;
  /** A shard not done after this goes back: 100 ms to 7 days. Default 30 min; 0 turns it off. */
  timeoutMs: number;
}>;

/** Records start ≤ i < end; `indices` (text only) names them in their order. */
export type ShardRange = Readonly<{ start: number; end: number; indices: readonly number[] | null }>;

const kinds: readonly string[] = ["table", "text", "stream"] satisfies DatasetSpec["kind"][];
const timeoutMsMax = 7 * 86_400_000;

/** What is wrong with a dataset, as a sentence that says what is allowed; null if nothing is. */
export function datasetProblem(spec: DatasetSpec): string | null {
  const shardSizeMax = spec.kind === "text" ? 100_000 : 1_000_000;
  if (spec.name.length < 1 || spec.name.length > 128) return "The name of a dataset has 1 to 128 characters.";
  if (!kinds.includes(spec.kind)) return `kind is ${spec.kind}; it must be one of ${kinds.join(", ")}.`;
  if (spec.kind === "stream" && spec.epochs !== 1) return `epochs is ${spec.epochs}; a stream has 1.`;
  return (
    outOfRange("size", spec.size, 0, Number.MAX_SAFE_INTEGER) ??
    outOfRange("shardSize", spec.shardSize, 1, shardSizeMax) ??
    outOfRange("epochs", spec.epochs, 1, 1_000_000) ??
    outOfRange("seed", spec.seed, -Number.MAX_SAFE_INTEGER, Number.MAX_SAFE_INTEGER) ??
    (spec.timeoutMs === 0 ? null : outOfRange("timeoutMs", spec.timeoutMs, 100, timeoutMsMax))
  );
}

/**
 * The first field in which two datasets of a name differ, or null. The size of a stream is what is known so far, and
 * not compared.
 */
export function datasetDifference(registered: DatasetSpec, other: DatasetSpec): string | null {
  const fields = ["kind", "size", "shardSize", "epochs", "isShuffled", "seed", "timeoutMs"] as const;
  const field = fields.find(
    (name) => registered[name] !== other[name] && !(name === "size" && registered.kind === "stream"),
  );
  return field === undefined ? null : `${field} is ${registered[field]} there and ${other[field]} here`;
}

function outOfRange(field: string, value: number, least: number, most: number): string | null {
  if (Number.isSafeInteger(value) && value >= least && value <= most) return null;
  return `${field} is ${value}; it must be a whole number from ${least} to ${most}.`;
}
