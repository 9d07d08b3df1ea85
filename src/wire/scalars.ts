/** The types that several requests and answers share. */

import * as z from "zod";

/** Text of at most `most` characters. */
export const text = (most: number): z.ZodString => z.string().max(most);

/** A name as jobs, nodes and data sets have them. */
export const jobName = z.string().min(1).max(128);

/** A whole number from 0 that JavaScript keeps exact. */
export const whole = z.number().int().min(0).max(Number.MAX_SAFE_INTEGER);

/** A list in an answer. */
export const list = <Item extends z.ZodType>(item: Item): z.ZodReadonly<z.ZodArray<Item>> => z.array(item).readonly();

/** A loss as it is reported: JSON has no NaN. */
export const loss = z.union([z.number(), z.literal("nan"), z.literal("inf")]);
