/** Finds files of this package at run time, from wherever a build has put the code that asks. */

import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The folder of this build: the one directly below the package's own (dist or lib). */
const build = folderBelowPackage(new URL(".", import.meta.url));

function folderBelowPackage(folder: URL): URL {
  const above = new URL("..", folder);
  if (above.href === folder.href) throw new Error(`${import.meta.url} lies in no package`);
  return existsSync(new URL("package.json", above)) ? folder : folderBelowPackage(above);
}

/** URL of a built module, by its path in the source tree: `bin/agent.js`. */
export function builtModule(path: string): URL {
  return new URL(path, build);
}

/** Path of a file of the package that is not built: `python/drover_nursery`. */
export function packageFile(path: string): string {
  return fileURLToPath(new URL(`../${path}`, build));
}
