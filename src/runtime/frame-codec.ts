/**
 * Frames of envelopes as bytes: msgpackr with record structures that both sides know.
 *
 * The encoder's table of structures only grows, and its new entries travel ahead of the first frame that needs them. The way between encoder
 * and decoder must keep order and lose nothing (a MessagePort does), so both always have the same table.
 */

import { Packr, Unpackr } from "msgpackr/pack";

export type Frame = Readonly<{
  bytes: Uint8Array<ArrayBuffer>;
  /** Entries to add to the table before `bytes` is decoded. */
  structures: readonly (readonly string[])[] | null;
}>;

/** Record structures that one way learns; objects of further shapes carry their keys with them. */
const structuresMax = 1_000;
/** Objects with more keys than this are tables rather than records: their shapes would fill the table for nothing. */
const recordKeysMax = 64;

type Keys = readonly string[];

export class FrameEncoder {
  readonly #packr: Packr;
  #learned: readonly Keys[] = [];
  #told = 0;

  constructor() {
    this.#packr = new Packr({
      structures: [],
      maxSharedStructures: structuresMax,
      shouldShareStructure: (keys: readonly string[]) => keys.length <= recordKeysMax,
      moreTypes: true,
      saveStructures: (structures: object[]) => {
        this.#learned = structures as Keys[];
      },
    });
  }

  /** The frame, in memory of its own that may be transferred. Throws for what cannot be carried (functions, symbols, cycles). */
  encode(value: unknown): Frame {
    const packed = this.#packr.pack(value);
    const bytes = new Uint8Array(packed.length);
    bytes.set(packed);
    const isGrown = this.#learned.length > this.#told;
    const structures = isGrown ? this.#learned.slice(this.#told).map((keys) => [...keys]) : null;
    this.#told = this.#learned.length;
    return { bytes, structures };
  }
}

export class FrameDecoder {
  #structures: Keys[] = [];
  #unpackr = unpackrOf([]);

  decode({ bytes, structures }: Frame): unknown {
    if (structures) {
      this.#structures = [...this.#structures, ...structures];
      this.#unpackr = unpackrOf(this.#structures);
    }
    return this.#unpackr.unpack(bytes);
  }
}

/**
 * The ids of the first 32 structures have one byte, those of the others two: the first leads to one of the places 32 … 63, which therefore
 * all have to be there, and only `getStructures` marks them as such.
 */
const placesMin = 64;

function unpackrOf(structures: readonly Keys[]): Unpackr {
  const places = Array.from({ length: Math.max(placesMin, structures.length) }, (_, place) => structures[place] ?? []);
  return new Unpackr({ getStructures: () => places.map((keys) => [...keys]), moreTypes: true });
}
