/** What an acknowledgement of the journal promises. */

/** `power`: fsync before every acknowledgement. `process`: survives the death of every process, not a power cut. */
export type Durability = "power" | "process";
