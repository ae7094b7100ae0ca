// Verification of a receipt, check by check.

import { equal, hex, toBytes, toFixed } from './bytes.js';
import { statement } from './commit.js';
import { Malformed, Refused } from './errors.js';
import { TrustedKey } from './key.js';
import { decodeLeaf } from './leaf.js';
import { leafHash, rootFromPath } from './merkle.js';
import { decodeReceipt, namesKey, sigStructure } from './receipt.js';

export const LEAVES_MAX = 65536n;

/** All checks in the order in which they are made. */
export const CHECKS = Object.freeze([
  'group-key',
  'receipt',
  'key-id',
  'committee',
  'tree-size',
  'leaf',
  'position',
  'inclusion',
  'signature',
]);

/**
 * Verifies a receipt, offline. Throws Refused with the name of the first check that fails.
 *
 * `key` is the committee's group key, `leaf` the leaf's exact bytes, `committee` the id of the
 * committee whose output it should be. Without leaf only its hash is proven.
 */
export async function verifyReceipt(bytes, { key, leaf, committee } = {}) {
  const trusted = await TrustedKey.of(key);
  const expected = committee == null ? null : hex(toFixed(committee, 32, 'committee'));
  const leafBytes = leaf == null ? null : toBytes(leaf, 'leaf');
  const receipt = read(bytes);
  const { commit, proof } = receipt;
  if (!namesKey(receipt, trusted.id)) throw refused('key-id', 'KeyId', 'receipt names another group key');
  if (expected !== null && commit.committee !== expected) {
    const reason = `Committee { actual: CommitteeId(${commit.committee}) }`;
    throw refused('committee', reason, `commit is of committee ${commit.committee}`);
  }
  checkTreeSize(proof.treeSize, commit.treeSize);
  const decoded = leafBytes === null ? null : await checkLeaf(leafBytes, receipt);
  const root = await rootFromPath(receipt.leafHash, proof.index, proof.treeSize, proof.path);
  if (root === null) {
    const reason = `Inclusion { index: ${proof.index}, tree_size: ${proof.treeSize} }`;
    throw refused('inclusion', reason, `path does not fit leaf ${proof.index} of ${proof.treeSize}`);
  }
  const signed = sigStructure(receipt.protected, root);
  if (!(await trusted.verify(signed, receipt.signature))) {
    const message = 'signature does not verify over the commit and the root of leaf and path';
    throw refused('signature', 'Signature', message);
  }
  return {
    commit,
    root: hex(root),
    statement: await statement(commit.bytes, root),
    index: proof.index,
    leafHash: hex(receipt.leafHash),
    leaf: decoded,
    checks: made(decoded !== null, expected !== null),
  };
}

const refused = (check, reason, message) => new Refused(check, reason, message);

function read(bytes) {
  try {
    return decodeReceipt(bytes);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw refused('receipt', `Receipt(${error.reason})`, `not a receipt: ${error.reason}`);
  }
}

function checkTreeSize(proof, commit) {
  if (proof === commit && proof >= 2n && proof <= LEAVES_MAX) return;
  const reason = `TreeSize { proof: ${proof}, commit: ${commit} }`;
  const message = `proof says ${proof} leaves, commit says ${commit}; 2 to 65536 allowed`;
  throw refused('tree-size', reason, message);
}

async function checkLeaf(bytes, receipt) {
  if (!equal(await leafHash(bytes), receipt.leafHash)) {
    throw refused('leaf', 'OtherLeaf', 'leaf is not the one that the receipt is for');
  }
  const leaf = decodeFor(bytes);
  if (leaf.seq !== receipt.commit.seq) {
    const reason = `Step { leaf: Seq(${leaf.seq}), commit: Seq(${receipt.commit.seq}) }`;
    const message = `leaf is of step ${leaf.seq}, commit of step ${receipt.commit.seq}`;
    throw refused('position', reason, message);
  }
  const { index } = receipt.proof;
  if ((index === 0n) !== (leaf.kind === 'settlement')) {
    throw refused('position', `Kind { index: ${index} }`, `leaf ${index} is of a kind that may not stand there`);
  }
  return leaf;
}

function decodeFor(bytes) {
  try {
    return decodeLeaf(bytes);
  } catch (error) {
    if (!(error instanceof Malformed)) throw error;
    throw refused('leaf', `LeafMalformed(${error.reason})`, `not a leaf: ${error.reason}`);
  }
}

function made(leafGiven, committeeExpected) {
  return CHECKS.filter((check) => {
    if (check === 'committee') return committeeExpected;
    if (check === 'leaf' || check === 'position') return leafGiven;
    return true;
  });
}
