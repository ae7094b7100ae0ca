// Deterministic CBOR (RFC 8949 §4.2.1), read strictly: the encoding that a value has, and no other.
//
// `NotCanonical` is a second encoding of a value (a head that is longer than needed, an indefinite
// length, undefined for null), `Structure` everything else. Nothing is allocated on the word of a
// length, and nesting is bounded.

import { Malformed } from './errors.js';

const DEPTH_MAX = 16;
const NOT_CANONICAL = 'NotCanonical';
const STRUCTURE = 'Structure';

/** A tagged item. */
export class Tagged {
  constructor(tag, value) {
    this.tag = tag;
    this.value = value;
  }
}

/** A map: its pairs in the order of the bytes. */
export class Pairs {
  constructor(pairs) {
    this.pairs = pairs;
  }

  /** The value of a key, an integer or text. */
  get(key) {
    return this.pairs.find(([at]) => at === key)?.[1];
  }

  keys() {
    return this.pairs.map(([key]) => key);
  }
}

/**
 * The one item that the bytes hold: bigint, Uint8Array, string, array, Pairs, Tagged, boolean or
 * null.
 */
export function decode(bytes) {
  return whole(bytes, (reader) => reader.item(0));
}

/** What `read` makes of a reader over the bytes, which must end there. */
export function whole(bytes, read) {
  const reader = new Reader(bytes);
  const value = read(reader);
  if (reader.at !== bytes.length) throw new Malformed(STRUCTURE);
  return value;
}

/** Reads item by item; a message is a map with the names of its fields, in their order. */
export class Reader {
  constructor(bytes) {
    this.bytes = bytes;
    this.at = 0;
  }

  /** Major type and argument of the next head. */
  head() {
    if (this.at >= this.bytes.length) throw new Malformed(STRUCTURE);
    const first = this.bytes[this.at];
    const [major, info] = [first >> 5, first & 0x1f];
    this.at += 1;
    if (info < 24) return [major, BigInt(info)];
    if (info === 31 && major >= 2 && major <= 5) throw new Malformed(NOT_CANONICAL);
    if (info > 27) throw new Malformed(STRUCTURE);
    let argument = 0n;
    for (const byte of this.take(1n << BigInt(info - 24))) argument = (argument << 8n) | BigInt(byte);
    const least = [24n, 1n << 8n, 1n << 16n, 1n << 32n][info - 24];
    if (major !== 7 && argument < least) throw new Malformed(NOT_CANONICAL);
    return [major, argument, info];
  }

  /** The next bytes; their number is a bigint, and at most what is left. */
  take(length) {
    if (length > BigInt(this.bytes.length - this.at)) throw new Malformed(STRUCTURE);
    this.at += Number(length);
    return this.bytes.subarray(this.at - Number(length), this.at);
  }

  item(depth) {
    if (depth > DEPTH_MAX) throw new Malformed(STRUCTURE);
    const [major, argument, long] = this.head();
    switch (major) {
      case 0:
        return argument;
      case 1:
        return -1n - argument;
      case 2:
        return this.take(argument);
      case 3:
        return utf8(this.take(argument));
      case 4:
        return this.items(argument, depth);
      case 5:
        return this.pairs(argument, depth);
      case 6:
        return new Tagged(argument, this.item(depth + 1));
      default:
        return simple(argument, long);
    }
  }

  items(count, depth) {
    const items = [];
    for (let left = count; left > 0n; left -= 1n) items.push(this.item(depth + 1));
    return items;
  }

  pairs(count, depth) {
    const pairs = new Pairs([]);
    for (let left = count; left > 0n; left -= 1n) {
      const key = this.item(depth + 1);
      // Keys are integers or text in every map of ours; no key stands twice.
      if (typeof key !== 'bigint' && typeof key !== 'string') throw new Malformed(STRUCTURE);
      if (pairs.keys().includes(key)) throw new Malformed(STRUCTURE);
      pairs.pairs.push([key, this.item(depth + 1)]);
    }
    return pairs;
  }

  /** A message: `fields` are names and what reads their values; those of `optional` are last, each or not. */
  struct(fields, optional = {}) {
    const names = Object.keys(fields);
    const more = Object.keys(optional);
    let left = this.of(5) - BigInt(names.length);
    if (left < 0n || left > BigInt(more.length)) throw new Malformed(STRUCTURE);
    const message = {};
    for (const name of names) {
      if (this.text() !== name) throw new Malformed(STRUCTURE);
      message[name] = fields[name](this);
    }
    let next = 0;
    for (; left > 0n; left -= 1n) {
      const name = this.text();
      const at = more.indexOf(name, next);
      if (at < 0) throw new Malformed(STRUCTURE);
      message[name] = optional[name](this);
      next = at + 1;
    }
    return message;
  }

  /** A flag that is written only where it is true. */
  set() {
    if (this.item(0) !== true) throw new Malformed(STRUCTURE);
    return true;
  }

  /** A list of at most `most` items. */
  list(read, most) {
    const count = this.of(4);
    if (count > BigInt(most)) throw new Malformed(STRUCTURE);
    return Array.from({ length: Number(count) }, () => read(this));
  }

  /** An unsigned number below 2^`bits`. */
  uint(bits = 64) {
    const value = this.of(0);
    if (value >> BigInt(bits)) throw new Malformed(STRUCTURE);
    return value;
  }

  text() {
    return utf8(this.take(this.of(3)));
  }

  /** A byte string, of one width if it is given. */
  string(width) {
    const length = this.of(2);
    if (width !== undefined && length !== BigInt(width)) throw new Malformed(STRUCTURE);
    return this.take(length);
  }

  /** The argument of a head that must be of this major type. */
  of(major) {
    const [found, argument] = this.head();
    if (found !== major) throw new Malformed(STRUCTURE);
    return argument;
  }
}

function utf8(bytes) {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new Malformed(STRUCTURE);
  }
}

function simple(argument, long) {
  if (long === undefined && argument === 20n) return false;
  if (long === undefined && argument === 21n) return true;
  if (long === undefined && argument === 22n) return null;
  if (long === undefined && argument === 23n) throw new Malformed(NOT_CANONICAL);
  throw new Malformed(STRUCTURE);
}
