/** Where the Python side of this package lies, and when it last changed. */

import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { packageFile } from "../base/built-file.js";

const nurseryDir = packageFile("python/drover_nursery/");

/** The program of nursery and zygote. */
export const nurseryMain = join(nurseryDir, "__main__.py");

/** What a warm interpreter and its ranks must agree on (python/drover_nursery/identity.json). */
export type IdentityLists = Readonly<{ names: string[]; prefixes: string[]; except: string[]; perRank: string[]; room: Readonly<{ name: string; bytes: number }> }>;

export function identityLists(): IdentityLists {
  return JSON.parse(readFileSync(join(nurseryDir, "identity.json"), "utf8")) as IdentityLists;
}

/** Room for what /proc is to show of a forked process (process_title.py). Without it the zygote starts itself again to have it. */
export function roomForTitle(): Readonly<{ args: string[]; env: Readonly<Record<string, string>> }> {
  const { name, bytes } = identityLists().room;
  return { args: ["--room", " ".repeat(bytes)], env: { [name]: "-".repeat(bytes) } };
}

/** Changes whenever the nursery's code does. */
export function nurseryStamp(): string {
  const changes = readdirSync(nurseryDir).filter((name) => name.endsWith(".py")).map((name) => statSync(join(nurseryDir, name)).mtimeMs);
  return `${nurseryDir} ${Math.max(...changes)}`;
}
