/** Where the definition of an actor is, and how another thread, or a program that has not loaded it yet, gets it. */

import type { AnyDefinition } from "./cell-host.js";

/** The module that exports a definition, as a URL, and the definition's name. A definition itself is one, too. */
export type DefinitionPlace = Readonly<{ module: string; name: string }>;

/** The definition itself. Rejects when the module cannot be loaded or exports no definition of that name. */
export async function definitionAt(place: DefinitionPlace): Promise<AnyDefinition> {
  if (isDefinition(place)) return place;
  const exports = (await import(place.module)) as Record<string, unknown>;
  const found = Object.values(exports).find((value): value is AnyDefinition => isDefinition(value) && value.name === place.name);
  if (!found) throw new Error(`${place.module} exports no actor definition named ${place.name}`);
  return found;
}

function isDefinition(value: unknown): value is AnyDefinition {
  return typeof value === "object" && value !== null && "receive" in value && "apply" in value && "name" in value;
}
