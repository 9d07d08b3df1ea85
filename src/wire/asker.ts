/** How handlers reach the components. */

import type { PortContext, Typed } from "../runtime/actor.js";
import type { Parts } from "./service-port.js";

export type Asker = Readonly<{ ctx: PortContext<Typed>; parts: Parts }>;

export type AskedFor = Readonly<{ deadlineMs?: number; requestId?: string | null; isIdempotent?: boolean }>;

/** Asks a component. The reply has the type that the message's protocol gives it; the caller names it. */
export async function ask<Reply extends object>(
  { ctx, parts }: Asker,
  part: keyof Parts,
  message: Typed,
  { deadlineMs = 10_000, requestId = null, isIdempotent = false }: AskedFor = {},
): Promise<Reply> {
  const options = { deadlineMs, isIdempotent, ...(requestId === null ? {} : { requestId }) };
  return (await ctx.ask({ id: parts[part].id }, message, options));
}
