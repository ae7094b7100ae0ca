// The attestation as a COSE receipt (RFC 9942): its bytes, not yet verified.

import { Pairs, Tagged, decode } from './cbor.js';
import { ascii, concat, equal, hex, toBytes, toFixed } from './bytes.js';
import { decodeCommit } from './commit.js';
import { Malformed, wrapping } from './errors.js';
import { sha256 } from './hash.js';

export const RECEIPT_BYTES_MAX = 4096;
export const PATH_MAX = 16;
export const CONTENT_TYPE = 'application/vnd.zquorum.step+cose';

const COSE_SIGN1 = 18n;
const ALGORITHMS = [-8n, -19n];
const [ALG, KID, CLAIMS, TYP, VDS, COMMIT] = [1n, 4n, 15n, 16n, 395n, -70001n];
const [PROOFS, LEAF_HASH] = [396n, -70002n];
const [ISSUER, SUBJECT] = [1n, 2n];
const RFC9162_SHA256 = 1n;
const INCLUSION = -1n;

/** RFC 9679 thumbprint of a group key: SHA-256 of the COSE_Key {1: 1, -1: 6, -2: key}. */
export async function keyId(key) {
  const head = [0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20];
  return sha256(concat(head, toFixed(key, 32, 'key')));
}

/** Reads a receipt: every header, each in its one encoding and in its place. */
export function decodeReceipt(value) {
  const bytes = toBytes(value, 'receipt');
  if (bytes.length > RECEIPT_BYTES_MAX) throw new Malformed(`TooLong { actual: ${bytes.length} }`);
  const cose = readCose(bytes);
  if (cose.payload !== null) throw new Malformed('Payload');
  const { header, unprotected } = cose;
  const algorithm = header.get(ALG);
  if (!ALGORITHMS.includes(algorithm)) throw new Malformed('Algorithm');
  const key = header.get(KID);
  if (!isString(key, 32)) throw new Malformed('KeyId');
  if (header.get(TYP) !== CONTENT_TYPE) throw new Malformed('ContentType');
  if (header.get(VDS) !== RFC9162_SHA256) throw new Malformed('DataStructure');
  const commit = readCommit(header.get(COMMIT));
  checkClaims(header.get(CLAIMS), commit);
  const leafHash = unprotected.get(LEAF_HASH);
  if (!isString(leafHash, 32)) throw new Malformed('LeafHash');
  const proof = readProof(unprotected.get(PROOFS));
  if (!isString(cose.signature, 64)) throw new Malformed('Signature');
  expectLabels(header, [ALG, KID, CLAIMS, TYP, VDS, COMMIT]);
  expectLabels(unprotected, [PROOFS, LEAF_HASH]);
  return {
    algorithm: Number(algorithm),
    keyId: hex(key),
    commit,
    leafHash,
    proof,
    signature: cose.signature,
    protected: cose.protected,
  };
}

/** The bytes that the group signs: RFC 9052 §4.4 Sig_structure over protected header and root. */
export function sigStructure(protectedHeader, root) {
  return concat(
    [0x84, 0x6a],
    ascii('Signature1'),
    stringHead(protectedHeader.length),
    protectedHeader,
    [0x40],
    stringHead(root.length),
    root,
  );
}

/** The protected header of a commit under a group key: what a step attestation leaves out. */
export function protectedHeader(commit, id) {
  const { issuer, subject } = claims(commit);
  return concat(
    [0xa6, 0x01, 0x27, 0x04, 0x58, 0x20],
    id,
    [0x0f, 0xa2, 0x01, 0x78, issuer.length],
    ascii(issuer),
    [0x02, 0x78, subject.length],
    ascii(subject),
    [0x10, 0x78, CONTENT_TYPE.length],
    ascii(CONTENT_TYPE),
    [0x19, 0x01, 0x8b, 0x01, 0x3a, 0x00, 0x01, 0x11, 0x70],
    stringHead(commit.bytes.length),
    commit.bytes,
  );
}

/** Head of a byte string of 24 to 65,535 bytes. */
function stringHead(length) {
  return length < 256 ? [0x58, length] : [0x59, length >> 8, length & 0xff];
}

/** `iss` and `sub` of a commit: URIs of one length. */
function claims(commit) {
  const digits = (number) => number.toString(16).padStart(16, '0');
  return {
    issuer: `zq:${digits(commit.network)}:${commit.committee}`,
    subject: `zq:step:${digits(commit.seq)}`,
  };
}

/** A tagged COSE_Sign1 (RFC 9052 §4.2) with its protected header decoded. */
function readCose(bytes) {
  const asCose = (reason) => (reason === 'Structure' ? 'Cose' : reason);
  const refuse = () => new Malformed('Cose');
  return wrapping(asCose, () => {
    const outer = decode(bytes);
    if (!(outer instanceof Tagged) || outer.tag !== COSE_SIGN1) throw refuse();
    if (!Array.isArray(outer.value) || outer.value.length !== 4) throw refuse();
    const [encoded, unprotected, payload, signature] = outer.value;
    if (!(encoded instanceof Uint8Array) || !(unprotected instanceof Pairs)) throw refuse();
    if (!(signature instanceof Uint8Array)) throw refuse();
    const header = decode(encoded);
    if (!(header instanceof Pairs)) throw refuse();
    return { protected: encoded, header, unprotected, payload, signature };
  });
}

function readCommit(value) {
  if (!(value instanceof Uint8Array)) throw new Malformed('Commit(Structure)');
  return wrapping((reason) => `Commit(${reason})`, () => decodeCommit(value));
}

function checkClaims(found, commit) {
  const { issuer, subject } = claims(commit);
  const named =
    found instanceof Pairs &&
    found.pairs.length === 2 &&
    found.pairs[0][0] === ISSUER &&
    found.pairs[0][1] === issuer &&
    found.pairs[1][0] === SUBJECT &&
    found.pairs[1][1] === subject;
  if (!named) throw new Malformed('Claims');
}

/** One inclusion proof: [tree size, index, path] in a byte string. */
function readProof(proofs) {
  const refuse = () => new Malformed('Proof');
  if (!(proofs instanceof Pairs) || proofs.pairs.length !== 1) throw refuse();
  const [kind, list] = proofs.pairs[0];
  if (kind !== INCLUSION || !Array.isArray(list) || list.length !== 1) throw refuse();
  if (!(list[0] instanceof Uint8Array)) throw refuse();
  const asProof = (reason) => (reason === 'Structure' ? 'Proof' : reason);
  const proof = wrapping(asProof, () => decode(list[0]));
  if (!Array.isArray(proof) || proof.length !== 3) throw refuse();
  const [treeSize, index, path] = proof;
  for (const number of [treeSize, index]) {
    if (typeof number !== 'bigint' || number < 0n) throw refuse();
  }
  if (!Array.isArray(path) || path.length < 1 || path.length > PATH_MAX) throw refuse();
  if (!path.every((hash) => isString(hash, 32))) throw refuse();
  return { treeSize, index, path };
}

const isString = (value, width) => value instanceof Uint8Array && value.length === width;

function expectLabels(map, labels) {
  const found = map.keys();
  const same = found.length === labels.length && found.every((label, at) => label === labels[at]);
  if (!same) throw new Malformed('NotCanonical');
}

/** Whether a receipt names this key. */
export const namesKey = (receipt, id) => equal(toBytes(receipt.keyId), id);
