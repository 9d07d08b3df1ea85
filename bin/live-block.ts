/** The one live block of a terminal: stage, world, step, rate, loss, restarts, goodput. */

import chalk from "chalk";
import type { JobStatus } from "../src/wire/job-status.js";

const colourOf: Readonly<Record<string, (text: string) => string>> = {
  running: chalk.green,
  succeeded: chalk.green,
  recovering: chalk.yellow,
  scaling: chalk.yellow,
  paused: chalk.yellow,
  failed: chalk.red,
  stopped: chalk.yellow,
};

export function liveBlock(status: JobStatus, elapsedMs: number): string {
  const { job, stage, worldSize, step, samplesPerSecond, loss, restarts, maxRestarts, goodput, ranks } = status;
  const paint = colourOf[stage] ?? chalk.cyan;
  const fields = [
    worldSize === 0 ? null : `${count(worldSize, "rank")} on ${count(new Set(ranks.map(({ node }) => node)).size, "node")}`,
    step === null ? null : `step ${step}`,
    samplesPerSecond === null ? null : `${rounded(samplesPerSecond)} samples/s`,
    loss === null ? null : `loss ${typeof loss === "number" ? loss.toPrecision(4) : chalk.red(loss)}`,
    `restarts ${restarts}/${maxRestarts}`,
    goodput === null ? null : `goodput ${(goodput * 100).toFixed(1)} %`,
    clockOf(elapsedMs),
  ];
  return `${chalk.bold(job)} ${paint(stage)}  ${fields.filter((field) => field !== null).join(chalk.dim(" · "))}`;
}

export function clockOf(ms: number): string {
  const seconds = Math.floor(ms / 1_000);
  const two = (value: number): string => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3_600);
  return `${hours > 0 ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? "" : "s"}`;
}

function rounded(value: number): string {
  return value >= 100 ? String(Math.round(value)) : value.toPrecision(3);
}
