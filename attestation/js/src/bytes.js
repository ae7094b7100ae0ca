// Bytes: hexadecimal, comparison, big-endian numbers.

import { Malformed } from './errors.js';

const HEX = /^(?:[0-9a-fA-F]{2})*$/;

/** Bytes of a Uint8Array, an ArrayBuffer or hexadecimal text. */
export function toBytes(value, name = 'value') {
  if (value instanceof Uint8Array) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof value === 'string' && HEX.test(value)) {
    const bytes = new Uint8Array(value.length / 2);
    for (let at = 0; at < bytes.length; at += 1) {
      bytes[at] = Number.parseInt(value.slice(2 * at, 2 * at + 2), 16);
    }
    return bytes;
  }
  throw new TypeError(`${name} is neither a Uint8Array nor hexadecimal text`);
}

/** Bytes of a fixed width. */
export function toFixed(value, width, name) {
  const bytes = toBytes(value, name);
  if (bytes.length !== width) throw new TypeError(`${name} has ${bytes.length} bytes, not ${width}`);
  return bytes;
}

/** Lower-case hexadecimal digits. */
export function hex(bytes) {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join('');
}

export function concat(...parts) {
  const out = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** Whether two public byte strings are equal; not for secrets. */
export function equal(left, right) {
  return left.length === right.length && left.every((byte, at) => byte === right[at]);
}

/** ASCII text as bytes. */
export function ascii(text) {
  return Uint8Array.from(text, (char) => char.charCodeAt(0));
}

/** A number of 64 bits, big-endian. */
export function u64(value) {
  const out = new Uint8Array(8);
  new DataView(out.buffer).setBigUint64(0, BigInt(value));
  return out;
}

/** Reads the fields of a fixed-offset layout one after the other. */
export class Fields {
  constructor(bytes, length) {
    if (bytes.length !== length) {
      throw new Malformed(`Length { actual: ${bytes.length}, expected: ${length} }`);
    }
    this.bytes = bytes;
    this.at = 0;
  }

  take(width) {
    this.at += width;
    return this.bytes.subarray(this.at - width, this.at);
  }

  expect(head) {
    if (!head.every((byte, at) => this.bytes[this.at + at] === byte)) {
      throw new Malformed(`At { offset: ${this.at} }`);
    }
    this.at += head.length;
  }

  u8() {
    return this.take(1)[0];
  }

  u32() {
    const field = this.take(4);
    return new DataView(field.buffer, field.byteOffset, 4).getUint32(0);
  }

  u64() {
    const field = this.take(8);
    return new DataView(field.buffer, field.byteOffset, 8).getBigUint64(0);
  }

  hex(width) {
    return hex(this.take(width));
  }
}
