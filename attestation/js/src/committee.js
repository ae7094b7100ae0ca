// Whom an attestation is checked against: the file that `zq --json committee show` makes.

import { hex, toFixed } from './bytes.js';
import { TrustedKey } from './key.js';

/** Group key and id of a committee file, its text or its parsed JSON. */
export async function committeeFrom(json) {
  const file = typeof json === 'string' ? JSON.parse(json) : json;
  if (typeof file?.group_key !== 'string' || typeof file?.committee_id !== 'string') {
    throw new TypeError('no committee file: group_key and committee_id are missing');
  }
  const committee = hex(toFixed(file.committee_id, 32, 'committee_id'));
  return { key: await TrustedKey.of(file.group_key), committee };
}
