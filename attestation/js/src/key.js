// The committee's group key, checked once when it is registered.

import { hex, toFixed } from './bytes.js';
import { groupKeyFlaw, flaw } from './ed25519.js';
import { Refused } from './errors.js';
import { keyId } from './receipt.js';

const WHY = {
  NotAPoint: 'group key is not a point of the curve',
  NotCanonical: 'group key is not the canonical encoding of its point',
  SmallOrder: 'group key is of small order',
  Torsion: 'group key is not torsion-free',
};

/** Held by this module alone, so that nobody else makes keys that were not checked. */
const CHECKED = Symbol('checked');

/** A group key that passed the checks: canonical, not of small order, torsion-free. */
export class TrustedKey {
  #bytes;
  #id;

  constructor(checked, bytes, id) {
    if (checked !== CHECKED) throw new TypeError('keys are made by TrustedKey.of, which checks them');
    this.#bytes = bytes;
    this.#id = id;
  }

  /** Checks a key: 32 bytes or 64 hexadecimal digits. */
  static async of(key) {
    if (key instanceof TrustedKey) return key;
    const bytes = toFixed(key, 32, 'group key').slice();
    const reason = groupKeyFlaw(bytes);
    if (reason !== null) throw new Refused('group-key', `GroupKey(${reason})`, WHY[reason]);
    return new TrustedKey(CHECKED, bytes, await keyId(bytes));
  }

  /** The key's bytes. */
  get bytes() {
    return this.#bytes.slice();
  }

  /** RFC 9679 thumbprint: the `kid` of receipts. */
  get id() {
    return this.#id.slice();
  }

  /** Whether `signature` is the group's strict signature over `message`. */
  async verify(message, signature) {
    return (await flaw(this.#bytes, message, signature)) === null;
  }

  toString() {
    return hex(this.#bytes);
  }
}
