/** Every message of DLRover's that travels alone, as a row: method, handler, answer. docs/dlrover.md shows them. */

import { datasetRows } from "./dataset-rows.js";
import { jobRows } from "./job-rows.js";
import type { Method, Row } from "./row.js";

export const table: readonly Row[] = [...jobRows, ...datasetRows];

const byName = new Map(table.map((row) => [`${row.method} ${row.cls}`, row]));

export function rowOf(method: Method, cls: string): Row | undefined {
  return byName.get(`${method} ${cls}`);
}
