/** How an ask fails when the runtime, not the actor, ended it. */

import type { AskErrorCode } from "./actor.js";

export class AskError extends Error {
  override readonly name = "AskError";
  readonly code: AskErrorCode;

  constructor(code: AskErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
  }
}
