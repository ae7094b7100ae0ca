// The zApp's own state: an ordered map from keys of 1 to 256 bytes to values of at most 64 KiB.

import { Bytes, at, part } from "./bytes";
import { zapp0_del, zapp0_get, zapp0_next, zapp0_set } from "./host";
import { Reader, Writer } from "./values";

/** Whether an entry was not what was asked for; then the call reverts with `STATE`. */
export let isBroken: bool = false;

/** A value of at most `max` bytes, or null where there is no entry. */
export function get(key: Bytes, max: i32): Bytes | null {
  const value = new StaticArray<u8>(max);
  const length = zapp0_get(at(key), key.length, at(value), max);
  if (length < 0) return null;
  if (length == max) return value;
  if (length > max) isBroken = true;
  return part(value, 0, min(length, max));
}

/** A value of exactly so many bytes. If there is none, or another, the call reverts with `STATE`. */
export function load(key: Bytes, length: i32): Bytes {
  const value = new StaticArray<u8>(length);
  if (zapp0_get(at(key), key.length, at(value), length) != length) isBroken = true;
  return value;
}

/** A number, 0 where there is no entry. If it is something else, the call reverts with `STATE`. */
export function getU64(key: Bytes): u64 {
  const value = new StaticArray<u8>(8);
  const length = zapp0_get(at(key), key.length, at(value), 8);
  if (length >= 0 && length != 8) isBroken = true;
  return new Reader(value).u64();
}

export function set(key: Bytes, value: Bytes): void {
  zapp0_set(at(key), key.length, at(value), value.length);
}

export function setU64(key: Bytes, value: u64): void {
  set(key, new Writer(8).u64(value).all());
}

/** Deletes an entry; there need not be one. */
export function remove(key: Bytes): void {
  zapp0_del(at(key), key.length);
}

/**
 * The next key in the order of bytes that begins as `prefix` does, or null. Entries may be set and
 * removed on the way.
 */
export function next(key: Bytes, prefix: Bytes): Bytes | null {
  const found = new StaticArray<u8>(256);
  const length = zapp0_next(at(key), key.length, at(found), 256);
  const within = length >= prefix.length;
  if (!within || memory.compare(at(found), at(prefix), prefix.length) != 0) return null;
  return part(found, 0, length);
}
