// The commit: sixteen byte strings of 8 or 32 bytes in a CBOR array, each at a constant offset.

import { Fields, concat, hex, toBytes, toFixed } from './bytes.js';
import { sha256 } from './hash.js';
import { TAGS } from './tags.js';

export const COMMIT_LENGTH = 345;

const ARRAY_OF_16 = [0x90];
const STRING_OF_8 = [0x48];
const STRING_OF_32 = [0x58, 0x20];

/** Reads a commit's 345 bytes; numbers are bigint, digests hexadecimal. */
export function decodeCommit(bytes) {
  const raw = toBytes(bytes, 'commit');
  const fields = new Fields(raw, COMMIT_LENGTH);
  fields.expect(ARRAY_OF_16);
  fields.expect(STRING_OF_8);
  fields.expect(TAGS.COMMIT);
  const number = () => {
    fields.expect(STRING_OF_8);
    return fields.u64();
  };
  const digest = () => {
    fields.expect(STRING_OF_32);
    return fields.hex(32);
  };
  return {
    network: number(),
    committee: digest(),
    epoch: number(),
    seq: number(),
    treeSize: number(),
    previousState: digest(),
    state: digest(),
    profile: digest(),
    previous: digest(),
    anchorHeight: number(),
    anchor: digest(),
    timeMs: number(),
    gasUsed: number(),
    inputs: digest(),
    trace: digest(),
    bytes: raw,
  };
}

/** SHA-256(commit ‖ root): what members vote for, and the attestation's id. */
export async function statement(commitBytes, root) {
  return hex(await sha256(concat(toBytes(commitBytes, 'commit'), toFixed(root, 32, 'root'))));
}
