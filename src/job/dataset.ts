/** Datasets and their shards, as clients name them. */

export type DatasetSpec = Readonly<{
  /** 1 to 128 characters. */
  name: string;
  /** `table`: ranges of rows; `text`: record indices (shuffled within a shard too); `stream`: ranges of an offset that grows. */
  kind: "table" | "text" | "stream";
  /** Records, 0 to 2^53-1. For a stream: what is known so far. */
  size: number;
  /** Records a shard, 1 to 1,000,000. */
  shardSize: number;
  /** 1 to 1,000,000; a stream has one. */
  epochs: number;
  isShuffled: boolean;
  seed: number;
  /** A shard not done after this goes back. Default 30 min; 0 turns it off. */
  timeoutMs: number;
}>;

/** Records start ≤ i < end; `indices` (text only) names them in their order. */
export type ShardRange = Readonly<{ start: number; end: number; indices: readonly number[] | null }>;
