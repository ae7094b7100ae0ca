// Strict Ed25519, by the rules of attestation/src/identity.rs and group.rs.
//
// WebCrypto checks the equation. What it leaves to the engine is checked here: which encodings of
// points count, points of small order, S below the order. Whether an engine's equation is the plain
// one, [S]B = R + [k]A, shows at three signatures that it is asked about once; where it is another,
// or where the engine has no Ed25519, the equation is computed here, with the same verdicts and
// some hundred times slower. Everything here is public: nothing need take constant time.

import { concat, equal, toBytes } from './bytes.js';
import { sha512, subtle } from './hash.js';

const P = 2n ** 255n - 19n;
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;
const SIGN = 1n << 255n;

/** The first rule that a signature breaks, or null. */
export async function flaw(key, message, signature) {
  if (key.length !== 32 || signature.length !== 64) return 'Length';
  const point = readPoint(key, 'Key');
  if (typeof point === 'string') return point;
  if (littleEndian(signature.subarray(32)) >= ORDER) return 'ScalarNotReduced';
  const nonce = readPoint(signature.subarray(0, 32), 'R');
  if (typeof nonce === 'string') return nonce;
  return (await equationHolds(key, point, message, signature)) ? null : 'Equation';
}

/** Whether `signature` is the key's strict signature over the message. */
export async function verify(key, message, signature) {
  return (await flaw(toBytes(key), toBytes(message), toBytes(signature))) === null;
}

/** Why a key must not be trusted as a group key, or null. */
export function groupKeyFlaw(key) {
  const point = readPoint(key, '');
  if (typeof point === 'string') return point;
  return isIdentity(multiply(ORDER, point)) ? null : 'Torsion';
}

/** Whether a key is canonical and not of small order. */
export function isKey(key) {
  return typeof readPoint(key, '') !== 'string';
}

/** The point that the bytes encode, or what is wrong with them. */
function readPoint(bytes, prefix) {
  const point = decodePoint(bytes);
  if (point === null) return `${prefix}NotAPoint`;
  if (!equal(encodePoint(point), bytes)) return `${prefix}NotCanonical`;
  return isIdentity(double(double(double(point)))) ? `${prefix}SmallOrder` : point;
}

async function equationHolds(key, point, message, signature) {
  if (await engineIsPlain()) {
    const answer = await byEngine(key, message, signature);
    if (answer !== undefined) return answer;
  }
  return plainEquation(key, point, message, signature);
}

/** The engine's verdict; undefined if it has no Ed25519 or does not take the key. */
async function byEngine(key, message, signature) {
  const engine = await subtle();
  let imported;
  try {
    imported = await engine.importKey('raw', key, { name: 'Ed25519' }, false, ['verify']);
  } catch {
    return undefined;
  }
  return engine.verify({ name: 'Ed25519' }, imported, signature, message);
}

let plain;

/** Whether the engine's equation is the plain one: asked once. */
function engineIsPlain() {
  plain ??= Promise.all(
    PROBES.map(async ([key, message, signature, verdict]) => {
      const answer = await byEngine(toBytes(key), toBytes(message), toBytes(signature));
      return answer === verdict;
    }),
  ).then((answers) => answers.every(Boolean));
  return plain;
}

/** [S]B − [k]A, encoded, is R (RFC 8032 §5.1.7 without cofactor). */
export async function plainEquation(key, point, message, signature) {
  const r = signature.subarray(0, 32);
  const k = littleEndian(await sha512(concat(r, key, message))) % ORDER;
  const s = littleEndian(signature.subarray(32));
  const found = add(multiply(s, BASE), multiply(k, negate(point)));
  return equal(encodePoint(found), r);
}

// Arithmetic: points of −x² + y² = 1 + dx²y² as [X, Y, Z, T] with x = X/Z, y = Y/Z, xy = T/Z.

const mod = (number) => {
  const rest = number % P;
  return rest < 0n ? rest + P : rest;
};

function power(base, exponent) {
  let [result, square] = [1n, mod(base)];
  for (let left = exponent; left > 0n; left >>= 1n) {
    if (left & 1n) result = mod(result * square);
    square = mod(square * square);
  }
  return result;
}

const invert = (number) => power(number, P - 2n);

const D = mod(-121665n * invert(121666n));
const ROOT_OF_MINUS_1 = power(2n, (P - 1n) / 4n);
const IDENTITY = [0n, 1n, 1n, 0n];
/** y = 4/5 with even x. */
const BASE = fromY(mod(4n * invert(5n)), false);

function littleEndian(bytes) {
  return bytes.reduceRight((number, byte) => (number << 8n) | BigInt(byte), 0n);
}

/** A point from any encoding that some decoder takes: y of p and above, a sign for x = 0. */
export function decodePoint(bytes) {
  const number = littleEndian(bytes);
  return fromY(mod(number & (SIGN - 1n)), (number & SIGN) !== 0n);
}

/** The point with this y, and x odd if `odd`; null if there is none (RFC 8032 §5.1.3). */
function fromY(y, odd) {
  const u = mod(y * y - 1n);
  const v = mod(D * y * y + 1n);
  const v3 = mod(v * v * v);
  let x = mod(u * v3 * power(u * v3 * v3 * v, (P - 5n) / 8n));
  const square = mod(v * x * x);
  if (square === mod(-u)) x = mod(x * ROOT_OF_MINUS_1);
  else if (square !== u) return null;
  if ((x & 1n) !== (odd ? 1n : 0n)) x = mod(-x);
  return [x, y, 1n, mod(x * y)];
}

function encodePoint([x, y, z]) {
  const inverse = invert(z);
  let number = mod(y * inverse) | (mod(x * inverse) & 1n ? SIGN : 0n);
  return Uint8Array.from({ length: 32 }, () => {
    const byte = Number(number & 0xffn);
    number >>= 8n;
    return byte;
  });
}

/** Complete: the formula holds for any two points of the curve. */
function add([x1, y1, z1, t1], [x2, y2, z2, t2]) {
  const a = (y1 - x1) * (y2 - x2);
  const b = (y1 + x1) * (y2 + x2);
  const c = mod(2n * D * t1) * t2;
  const d = 2n * z1 * z2;
  const [e, f, g, h] = [mod(b - a), mod(d - c), mod(d + c), mod(b + a)];
  return [mod(e * f), mod(g * h), mod(f * g), mod(e * h)];
}

const double = (point) => add(point, point);
const negate = ([x, y, z, t]) => [mod(-x), y, z, mod(-t)];
const isIdentity = ([x, y, z]) => x === 0n && y === z;

function multiply(scalar, point) {
  let result = IDENTITY;
  for (const bit of scalar.toString(2)) {
    result = double(result);
    if (bit === '1') result = add(result, point);
  }
  return result;
}

/** Signatures that tell equations apart: key, message, signature, verdict of the plain one. */
const PROBES = [
  // An ordinary signature.
  [
    'e42d3e4c21b01c583cf073cea88c07104096069f0e269c39a4b7146d89e8de3a',
    'ab',
    'f86c7a718ba15d9b296cbab8638de48fb8c814df82788da140111aa94997c928' +
      '6e57b26ee4f718e514b2cecf3f56a201b89768ce620be27491b79f233830bc06',
    true,
  ],
  // R with a torsion part: only the cofactored equation holds.
  [
    'bfa3548526a0f5689cd58450f660acef62f6a554f9916d71077b7557030306cc',
    '00',
    '37c2f425b2b5a610a927d9055f2cbaa3a3734a3bf7f0eed094d71a74e1faab4e' +
      'd4360418be963e8389aaf7642a44a3b1b33db1422b431c616630aca7cc6fde0f',
    false,
  ],
  // Key and R with torsion parts that cancel: the plain equation holds.
  [
    '65c24138976ecbeb8aaefd5f6fd272b2875c72215cafee2b02b73cc96ffa7ad6',
    '1b',
    '37c2f425b2b5a610a927d9055f2cbaa3a3734a3bf7f0eed094d71a74e1faab4e' +
      'f7492a2ae1696b4d7571f02652b4fe3b7d430ec36097f73a16be7cdee6b7980e',
    true,
  ],
];
