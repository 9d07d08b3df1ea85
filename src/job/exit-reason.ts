/** Why a rank or a node ended. */

export type ExitKind = "success" | "user-error" | "killed" | "out-of-memory" | "hardware" | "lost-heartbeat" | "stopped";
