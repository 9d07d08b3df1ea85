/** The fixed table of record structures that both sides of the bare msgpackr loop share. */
export const bareStructures = (): string[][] => [
  ["id", "payload"],
  ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"],
];
