// RFC 9162 §2.1 Merkle trees over SHA-256.

import { concat, toBytes } from './bytes.js';
import { sha256 } from './hash.js';

/** SHA-256(0x00 ‖ entry). */
export const leafHash = (entry) => sha256(concat([0], toBytes(entry, 'entry')));

const nodeHash = (left, right) => sha256(concat([1], left, right));

/** Root over entries in order; SHA-256 of nothing for no entries. */
export async function merkleRoot(entries) {
  if (entries.length === 0) return sha256(new Uint8Array());
  if (entries.length === 1) return leafHash(entries[0]);
  const at = split(entries.length);
  return nodeHash(await merkleRoot(entries.slice(0, at)), await merkleRoot(entries.slice(at)));
}

/** Inclusion path of entry `index`, from the leaf up; null if there is no such entry. */
export async function merklePath(entries, index) {
  if (!(index >= 0 && index < entries.length)) return null;
  if (entries.length === 1) return [];
  const at = split(entries.length);
  const [left, right] = [entries.slice(0, at), entries.slice(at)];
  return index < at
    ? [...(await merklePath(left, index)), await merkleRoot(right)]
    : [...(await merklePath(right, index - at)), await merkleRoot(left)];
}

/** The largest power of two below a length of 2 and more. */
const split = (length) => 2 ** Math.floor(Math.log2(length - 1));

/**
 * The root that `path` leads to from the leaf hash of entry `index` of `size` (RFC 9162 §2.1.3.2);
 * null if index or path do not fit the size. Index and size are bigint or safe integers.
 */
export async function rootFromPath(hash, index, size, path) {
  let [node, last] = [BigInt(index), BigInt(size) - 1n];
  if (node < 0n || node > last) return null;
  let found = hash;
  for (const sibling of path) {
    if (last === 0n) return null;
    if (node & 1n || node === last) {
      found = await nodeHash(sibling, found);
      while (!(node & 1n) && node !== 0n) {
        node >>= 1n;
        last >>= 1n;
      }
    } else {
      found = await nodeHash(found, sibling);
    }
    node >>= 1n;
    last >>= 1n;
  }
  return last === 0n ? found : null;
}
