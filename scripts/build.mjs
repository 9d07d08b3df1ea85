/**
 * Builds what runs.
 *
 * - dist/  one JavaScript file a TypeScript file: what tests, benchmarks and examples import.
 * - lib/   what ships and what `drover` runs: the same sources bundled with the packages that they use, in few files with shared chunks, for
 *          a job starts several processes and a dozen threads, each of which finds, reads and parses its modules anew
 *          (docs/decisions/0004). `--package` makes only this, with type declarations.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, existsSync, readdirSync, rmSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = join(dirname(fileURLToPath(import.meta.url)), "..");
const isPackage = process.argv.includes("--package");
const common = { outbase: root, format: "esm", platform: "node", target: "node20", logLevel: "warning" };

const sourcesIn = (folder) =>
  readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith(".ts"))
    .map((name) => join(root, folder, name));

/** Native packages stay outside, and what is never loaded; `require` is for bundled CommonJS packages, which ask for Node's own modules by it. */
const bundled = {
  ...common,
  outdir: join(root, "lib"),
  bundle: true,
  splitting: true,
  minifySyntax: true,
  minifyWhitespace: true,
  keepNames: false,
  // fastify loads the last two only where nobody gives it compilers (src/wire/http-server.ts): 0.7 MB that no master reads.
  external: ["better-sqlite3", "@fastify/ajv-compiler", "@fastify/fast-json-stringify-compiler"],
  chunkNames: "chunks/[name]-[hash]",
  banner: { js: 'import { createRequire as __createRequire } from "node:module"; const require = __createRequire(import.meta.url);' },
  entryPoints: [
    join(root, "index.ts"),
    join(root, "src/runtime/thread-main.ts"),
    ...["agent", "drover", "master", "spare", "watchdog"].map((name) => join(root, "bin", `${name}.ts`)),
    ...sourcesIn("actors").filter((path) => !path.includes("protocol")),
  ],
};

const separate = {
  ...common,
  outdir: join(root, "dist"),
  sourcemap: true,
  entryPoints: ["actors", "bin", "embed", "src", "test", "benchmarks", "examples"].flatMap(sourcesIn).concat(join(root, "index.ts")),
};

if (isPackage) rmSync(join(root, "lib"), { recursive: true, force: true });
await Promise.all([build(bundled), ...(isPackage ? [] : [build(separate)])]);
if (isPackage) {
  const tsc = join(root, "node_modules", "typescript", "bin", "tsc");
  execFileSync(process.execPath, [tsc, "-p", "tsconfig.package.json"], { cwd: root, stdio: "inherit" });
}
for (const path of ["lib/bin/drover.js", "dist/bin/drover.js"].map((path) => join(root, path))) if (existsSync(path)) chmodSync(path, 0o755);
