/** Builds dist/: one JavaScript file a TypeScript file. `--package` starts afresh, leaves tests out and adds type declarations. */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const isPackage = process.argv.includes("--package");
const folders = ["actors", "bin", "embed", "src", ...(isPackage ? [] : ["test", "benchmarks", "examples"])];

const sources = folders
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true }).map((name) => join(root, folder, name)))
  .concat(existsSync(join(root, "index.ts")) ? [join(root, "index.ts")] : [])
  .filter((path) => path.endsWith(".ts"));

if (isPackage) rmSync(join(root, "dist"), { recursive: true, force: true });

await build({
  entryPoints: sources,
  outdir: join(root, "dist"),
  outbase: root,
  format: "esm",
  platform: "node",
  target: "node20",
  sourcemap: !isPackage,
  logLevel: "warning",
});

if (isPackage) {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.package.json"], { cwd: root, stdio: "inherit" });
}
const drover = join(root, "dist", "bin", "drover.js");
if (existsSync(drover)) chmodSync(drover, 0o755);
