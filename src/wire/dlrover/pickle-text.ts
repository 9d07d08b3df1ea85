/** Strings as Python pickles them: UTF-8 in which lone surrogates are encoded as if they were characters ("surrogatepass"). */

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** Null where the bytes are no such text. */
export function textFrom(bytes: Buffer, start: number, end: number): string | null {
  const text = bytes.toString("utf8", start, end);
  if (!text.includes("\uFFFD")) return text;
  try {
    return strict.decode(bytes.subarray(start, end));
  } catch {
    return withSurrogates(bytes.subarray(start, end));
  }
}

function withSurrogates(bytes: Uint8Array): string | null {
  const parts: string[] = [];
  let from = 0;
  for (let at = 0; at + 2 < bytes.length; at++) {
    const isSurrogate = bytes[at] === 0xed && ((bytes[at + 1] ?? 0) & 0xe0) === 0xa0 && ((bytes[at + 2] ?? 0) & 0xc0) === 0x80;
    if (!isSurrogate) continue;
    const before = decoded(bytes.subarray(from, at));
    if (before === null) return null;
    parts.push(before, String.fromCharCode(0xd000 | (((bytes[at + 1] ?? 0) & 0x3f) << 6) | ((bytes[at + 2] ?? 0) & 0x3f)));
    from = at + 3;
    at += 2;
  }
  const rest = decoded(bytes.subarray(from));
  return rest === null ? null : parts.join("") + rest;
}

function decoded(bytes: Uint8Array): string | null {
  try {
    return strict.decode(bytes);
  } catch {
    return null; // No UTF-8: the caller says where.
  }
}

/** Half of a pair, which no UTF-8 has. */
export function hasLoneSurrogate(text: string): boolean {
  return !text.isWellFormed();
}

export function bytesOf(text: string): Buffer {
  if (!hasLoneSurrogate(text)) return Buffer.from(text, "utf8");
  const parts = text.split(/([\uD800-\uDBFF][\uDC00-\uDFFF]|[\uD800-\uDFFF])/).map((part) => {
    if (part.length !== 1 || !hasLoneSurrogate(part)) return Buffer.from(part, "utf8");
    const code = part.charCodeAt(0);
    return Buffer.from([0xed, 0x80 | ((code >> 6) & 0x3f), 0x80 | (code & 0x3f)]);
  });
  return Buffer.concat(parts);
}
