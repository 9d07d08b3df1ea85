/**
 * Why a rank ended, and what each reason leads to.
 *
 * - X1  A rank that was asked to end did not fail.
 * - X2  Of the failures of one round the cause is kept, not its consequences: when one rank dies, its peers die of a closed connection or are
 *       ended by a signal a moment later, and may well be reported first.
 */

/** Why a rank or a node ended. */
export type ExitKind = "success" | "user-error" | "killed" | "out-of-memory" | "hardware" | "lost-heartbeat" | "stopped";

export type RankExit = Readonly<{
  exitCode: number | null;
  signal: string | null;
  isOutOfMemory: boolean;
  errorText: string;
}>;

/**
 * What an exit leads to. `restart`: the ranks start again where they are, charged to the restarts of the job. `relaunch`: the node is given up
 * and another takes its place on another host, `relaunch-larger`: with more memory; both charged to the relaunches.
 */
export type ExitConsequence = "nothing" | "restart" | "relaunch" | "relaunch-larger";

export const exitConsequences: Readonly<Record<ExitKind, ExitConsequence>> = {
  success: "nothing",
  stopped: "nothing",
  "user-error": "restart",
  killed: "restart",
  "out-of-memory": "relaunch-larger",
  hardware: "relaunch",
  "lost-heartbeat": "relaunch",
};

/** Signals that come from outside; the others (SIGSEGV, SIGABRT, SIGBUS, SIGFPE, SIGILL) are the program's own doing. */
const signalsFromOutside = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU"]);
/** As a shell reports death by SIGKILL, SIGTERM, SIGINT. */
const codesOfSignals = new Set([137, 143, 130]);
/** DLRover's ExitCode: 247 out of memory; 201 and 202 hardware and GPU driver. */
const codesOfMemory = new Set([247]);
const codesOfHardware = new Set([201, 202]);
const hardwareText = /uncorrectable (NVLink|ECC) error|Xid \(|GPU has fallen off the bus|hardware stack error|NVRM: /i;

export function classifyExit(exit: RankExit, wasAskedToEnd: boolean): ExitKind {
  if (exit.exitCode === 0) return "success";
  if (wasAskedToEnd) return "stopped"; // X1
  if (exit.isOutOfMemory || (exit.exitCode !== null && codesOfMemory.has(exit.exitCode))) return "out-of-memory";
  if (/^MemoryError\b/.test(signatureOf(exit.errorText))) return "out-of-memory";
  if (exit.exitCode !== null && codesOfHardware.has(exit.exitCode)) return "hardware";
  if (hardwareText.test(exit.errorText)) return "hardware";
  if (exit.signal !== null) return signalsFromOutside.has(exit.signal) ? "killed" : "user-error";
  return exit.exitCode !== null && codesOfSignals.has(exit.exitCode) ? "killed" : "user-error";
}

const consequenceText = new RegExp(
  [
    "Connection closed by peer",
    "Connection reset by peer",
    "Connection refused",
    "Broken pipe",
    "Socket closed",
    "DistBackendError",
    "DistNetworkError",
    "DistStoreError",
    "NCCL.*(remote process exited|system error|timed? ?out|abort)",
    "ncclRemoteError",
    "gloo.*(timed out|rank .* failed to)",
    "Timed out waiting \\d+ms for (recv|send)",
  ].join("|"),
  "i",
);
const consequenceSignals = new Set(["SIGTERM", "SIGABRT", "SIGPIPE", "SIGHUP"]);

/** X2: the look of a rank that died because another did. */
export function looksLikeConsequence(exit: Readonly<{ signal: string | null; message: string }>): boolean {
  if (exit.signal !== null) return consequenceSignals.has(exit.signal);
  return consequenceText.test(exit.message);
}

/** The last line that says something, at most 500 characters: of a traceback, the exception. */
export function signatureOf(errorText: string): string {
  const lines = errorText.trimEnd().split("\n");
  for (let index = lines.length - 1; index >= 0; index--) {
    const line = lines[index]?.trim();
    if (line) return line.slice(0, 500);
  }
  return "";
}

const hopelessException = /^(SyntaxError|IndentationError|TabError|ImportError|ModuleNotFoundError)\b/;

/** A rank that cannot even begin: wrong arguments, a missing file, code that does not parse or whose imports are not there. */
export function isHopeless(exit: Readonly<{ exitCode: number | null; message: string }>): boolean {
  const { exitCode, message } = exit;
  if (exitCode === 126 || exitCode === 127) return true;
  if (exitCode === 2 && (/^usage: /m.test(message) || /can't open file/.test(message))) return true;
  return hopelessException.test(signatureOf(message));
}
