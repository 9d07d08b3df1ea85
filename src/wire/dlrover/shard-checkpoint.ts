/** Drover's checkpoint of a dataset as DLRover's clients carry it: a text that names the dataset, for they give back nothing else. */

/** `content`: a JSON object. */
export function namedCheckpoint(dataset: string, content: string): string {
  return `{"dataset_name":${JSON.stringify(dataset)},${content.slice(1)}`;
}

/**
 * The dataset that a checkpoint names; null if it is none. DLRover's ShardingClient puts the message into another one before it sends it: as the
 * codec reads it, that is JSON with the checkpoint in `content`.
 */
export function datasetOfCheckpoint(text: string): Readonly<{ dataset: string; content: string }> | null {
  let named: unknown;
  try {
    named = JSON.parse(text);
  } catch {
    return null; // No checkpoint.
  }
  if (typeof named !== "object" || named === null) return null;
  const { dataset_name: dataset, content } = named as Readonly<Record<string, unknown>>;
  if (typeof dataset === "string") return { dataset, content: text };
  return typeof content === "string" && Object.keys(named).length === 1 ? datasetOfCheckpoint(content) : null;
}
