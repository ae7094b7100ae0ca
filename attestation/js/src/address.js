// NoM addresses: bech32 "z" of 0x00 and the first 19 bytes of SHA3-256(key).

import { concat, toFixed } from './bytes.js';
import { Malformed } from './errors.js';
import { sha3 } from './hash.js';

const CHARACTERS = 'qpzry9x8gf2tvdw0s3jn54khce6mua7l';
const PREFIX = 'z';
const GENERATOR = [0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3];

/** The address of an Ed25519 key, as text. */
export function addressOfKey(key) {
  const digest = sha3(toFixed(key, 32, 'key'));
  return addressText(concat([0], digest.subarray(0, 19)));
}

/** The text of an address's 20 bytes. */
export function addressText(bytes) {
  const data = regroup(toFixed(bytes, 20, 'address'), 8, 5);
  const residue = checksum([...expanded(), ...data, 0, 0, 0, 0, 0, 0]) ^ 1;
  const check = [25, 20, 15, 10, 5, 0].map((shift) => (residue >>> shift) & 31);
  return `${PREFIX}1${[...data, ...check].map((value) => CHARACTERS[value]).join('')}`;
}

/** The 20 bytes of an address: the text must be the one that the bytes have. */
export function parseAddress(text) {
  const refused = () => new Malformed('ParseAddressError', 'not a NoM address (z1…, bech32, 20 bytes)');
  if (typeof text !== 'string' || !text.startsWith(`${PREFIX}1`) || text.length !== 40) throw refused();
  const values = Array.from(text.slice(2, -6), (character) => CHARACTERS.indexOf(character));
  if (values.includes(-1)) throw refused();
  const bytes = Uint8Array.from(regroup(values, 5, 8));
  if (bytes.length !== 20 || addressText(bytes) !== text) throw refused();
  return bytes;
}

/** Groups of bits in groups of another width; 20 bytes are 32 groups of five without padding. */
function regroup(values, from, to) {
  const out = [];
  let [bits, held] = [0, 0];
  for (const value of values) {
    held = ((held << from) | value) & 0xfff;
    bits += from;
    while (bits >= to) {
      bits -= to;
      out.push((held >>> bits) & ((1 << to) - 1));
    }
  }
  return out;
}

const expanded = () => [PREFIX.charCodeAt(0) >>> 5, 0, PREFIX.charCodeAt(0) & 31];

/** The BCH code of bech32 (BIP 173). */
function checksum(values) {
  return values.reduce((residue, value) => {
    const next = ((residue & 0x1ffffff) << 5) ^ value;
    return GENERATOR.reduce((sum, part, bit) => ((residue >>> (25 + bit)) & 1 ? sum ^ part : sum), next);
  }, 1);
}
