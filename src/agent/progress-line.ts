/** Reads progress out of one line, of the client's file or of anything that a training prints. Pure. */

export type ProgressNews = Readonly<{
  step: number | null;
  loss: number | "nan" | "inf" | null;
  /** Samples of this line alone. */
  samples: number | null;
  checkpointStep: number | null;
}>;

const stepPattern = /(?<![a-z])step\s*[=:/ ]\s*(\d{1,15})\b/i;
const lossPattern = /(?<![a-z])loss\s*[=: ]\s*([-+]?(?:nan|inf(?:inity)?|\d+\.?\d*(?:e[-+]?\d+)?|\.\d+(?:e[-+]?\d+)?))\b/i;

/**
 * A line that holds `step 12`, `step=12`, `step: 12` or `step/12`, and perhaps `loss …`; upper or lower case, nothing but letters
 * forbidden before the words. Null where there is no step.
 */
export function progressOfText(line: string): ProgressNews | null {
  const step = stepPattern.exec(line)?.[1];
  if (step === undefined) return null;
  const loss = lossPattern.exec(line)?.[1];
  return { step: Number(step), loss: loss === undefined ? null : lossOf(loss), samples: null, checkpointStep: null };
}

/** A line of the progress file: `{"step": 12, "loss": 0.3, "samples": 64, "checkpoint": 10}`, each of them optional. */
export function progressOfJson(line: string): ProgressNews | null {
  let value: unknown;
  try {
    // Python's json writes NaN and Infinity bare.
    value = JSON.parse(line.replaceAll(/(?<=[:\s,[])(-?Infinity|NaN)(?=[\s,}\]])/g, '"$1"'));
  } catch {
    return null; // Half a line, or not the client's.
  }
  if (typeof value !== "object" || value === null) return null;
  const { step, loss, samples, checkpoint } = value as Readonly<Record<string, unknown>>;
  const news = { step: countOf(step), loss: lossOf(loss), samples: countOf(samples), checkpointStep: countOf(checkpoint) };
  return Object.values(news).every((field) => field === null) ? null : news;
}

function lossOf(value: unknown): ProgressNews["loss"] {
  if (typeof value === "string") {
    if (/nan/i.test(value)) return "nan";
    if (/inf/i.test(value)) return "inf";
    return lossOf(Number(value));
  }
  return typeof value === "number" && Number.isFinite(value) ? value : null;
}

function countOf(value: unknown): number | null {
  return typeof value === "number" && Number.isFinite(value) && value >= 0 ? Math.floor(value) : null;
}
