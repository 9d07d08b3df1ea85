/** The scalar types that several requests share. */

import { z } from "zod";

/** Text of at most `most` characters. */
export const text = (most: number): z.ZodString => z.string().max(most);

/** A name as jobs, nodes and data sets have them. */
export const jobName = z.string().min(1).max(128);

/** A whole number from 0 that JavaScript keeps exact. */
export const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);
