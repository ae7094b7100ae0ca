// Bytes and texts.

/** Bytes of a fixed number. Keys and ids of zApps have 32. */
export type Bytes = StaticArray<u8>;

/** The bytes of a text. */
export function utf8(text: string): Bytes {
  const bytes = new StaticArray<u8>(String.UTF8.byteLength(text));
  String.UTF8.encodeUnsafe(changetype<usize>(text), text.length, at(bytes));
  return bytes;
}

/** Whether bytes are the same; `==` only tells whether they lie at one place. */
export function equal(one: Bytes, other: Bytes): bool {
  return one.length == other.length && memory.compare(at(one), at(other), one.length) == 0;
}

/** Both, one after the other: a map's key after its name. */
export function join(one: Bytes, other: Bytes): Bytes {
  const joined = new StaticArray<u8>(one.length + other.length);
  memory.copy(at(joined), at(one), one.length);
  memory.copy(at(joined) + one.length, at(other), other.length);
  return joined;
}

/** A part of bytes, which must lie within them. */
export function part(bytes: Bytes, from: i32, length: i32): Bytes {
  assert(from >= 0 && length >= 0 && from <= bytes.length && length <= bytes.length - from);
  const copied = new StaticArray<u8>(length);
  memory.copy(at(copied), at(bytes) + from, length);
  return copied;
}

/** Whether bytes are text in UTF-8 (RFC 3629): no surrogates, nothing longer than it need be. */
export function isUtf8(bytes: Bytes): bool {
  let i = 0;
  while (i < bytes.length) {
    const first = bytes[i++];
    let more = 0;
    let lowest: u8 = 0x80;
    let highest: u8 = 0xbf;
    if (first < 0x80) continue;
    if (first >= 0xc2 && first <= 0xdf) {
      more = 1;
    } else if (first >= 0xe0 && first <= 0xef) {
      more = 2;
      if (first == 0xe0) lowest = 0xa0;
      if (first == 0xed) highest = 0x9f;
    } else if (first >= 0xf0 && first <= 0xf4) {
      more = 3;
      if (first == 0xf0) lowest = 0x90;
      if (first == 0xf4) highest = 0x8f;
    } else {
      return false;
    }
    for (; more > 0; more--) {
      if (i == bytes.length || bytes[i] < lowest || bytes[i] > highest) return false;
      i++;
      lowest = 0x80;
      highest = 0xbf;
    }
  }
  return true;
}

/** Where bytes lie, for the host. */
// @ts-ignore: decorator
@inline
export function at(bytes: Bytes): usize {
  return changetype<usize>(bytes);
}
