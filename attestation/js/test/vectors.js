// Reads golden vectors: every file, every case, valid or not.
//
// Files lie in attestation/vectors and in the folder that ZQ_VECTORS_MORE names. Each reader tells
// how many cases of its file it judged; a file or a list that no reader knows is an error.

import assert from 'node:assert/strict';
import { readFileSync, readdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

import { hex, toBytes } from '../src/bytes.js';
import { flaw, groupKeyFlaw } from '../src/ed25519.js';
import { decodeMessage, sentinelStatement, signedCard } from '../src/messages.js';
import { protectedHeader, sigStructure } from '../src/receipt.js';
import { TAGS } from '../src/tags.js';
import * as zq from '../src/index.js';

const FOLDERS = [
  fileURLToPath(new URL('../../vectors/', import.meta.url)),
  process.env.ZQ_VECTORS_MORE,
].filter(Boolean);

/** Paths of all files of vectors. */
export const files = FOLDERS.flatMap((folder) =>
  readdirSync(folder)
    .filter((name) => name.endsWith('.json'))
    .map((name) => ({ name, path: `${folder}/${name}` })),
);

/** Judges every case of a file; the number of cases. */
export async function judge(path) {
  const file = JSON.parse(readFileSync(path, 'utf8'));
  const readers = FORMATS[file.format];
  assert.ok(readers, `${path}: no reader for format ${file.format}`);
  let count = 0;
  for (const [list, cases] of Object.entries(file)) {
    if (NO_CASES.includes(list)) continue;
    assert.ok(readers[list], `${path}: no reader for ${list}`);
    const entries = Array.isArray(cases) ? cases : Object.entries(cases);
    for (const [at, entry] of entries.entries()) {
      try {
        await readers[list](entry, file);
      } catch (error) {
        error.message = `${file.format} ${list} ${at} (${entry.name ?? ''}): ${error.message}`;
        throw error;
      }
      count += 1;
    }
  }
  return count;
}

/** What describes a file and holds no cases. */
const NO_CASES = ['about', 'format', 'length', 'offsets', 'checks', 'signed_bytes', 'content_type'];

/** A case that must be refused with its error. */
const refused = (decode, same = (reason) => reason) => async (entry) => {
  const error = await failure(() => decode(toBytes(entry.bytes)));
  assert.ok(error instanceof zq.Malformed, `accepted, or failed otherwise: ${error}`);
  assert.equal(same(error.reason), same(entry.error));
};

/** A strict reader does not tell a second encoding of a message from no message. */
const anyStructure = (reason) => reason.replace('NotCanonical', 'Structure');

async function failure(run) {
  try {
    await run();
  } catch (error) {
    return error;
  }
  return undefined;
}

/** Fields of decoded values as the vectors write them. */
function written(value) {
  const fields = {};
  for (const [name, field] of Object.entries(value)) {
    if (field instanceof Uint8Array) continue;
    const key = name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
    fields[key] = typeof field === 'bigint' ? String(field) : field;
  }
  return fields;
}

/** Messages as their JSON: numbers are numbers, bytes digits or a list. */
function asJson(value) {
  if (typeof value === 'bigint') return Number(value);
  if (value instanceof Uint8Array) return value.length === 64 ? hex(value) : Array.from(value);
  if (Array.isArray(value)) return value.map(asJson);
  if (typeof value !== 'object') return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, asJson(field)]));
}

const keys = new Map();

/** Checking a key takes milliseconds, and the vectors share few. */
function trusted(key) {
  if (!keys.has(key)) keys.set(key, zq.TrustedKey.of(key));
  return keys.get(key);
}

async function verifyReceipt(entry) {
  const { leaf, committee, receipt } = entry;
  return zq.verifyReceipt(toBytes(receipt), { key: await trusted(entry.group_key), leaf, committee });
}

const signature = (entry) => flaw(toBytes(entry.key), toBytes(entry.message), toBytes(entry.signature));

/** The message of codec.json: a number, numbers, text, nothing or one of two kinds. */
const shapes = (bytes) =>
  decodeMessage(bytes, 64, (reader) =>
    reader.struct({
      a: (at) => at.uint(),
      b: (at) => at.list((item) => item.uint(), 64),
      c: (at) => at.text(),
      d: (at) => at.struct({ Full: (kind) => kind.struct({ e: (field) => field.uint() }) }),
    }),
  );

const FORMATS = {
  tags: {
    valid([name, tag]) {
      if (TAGS[name]) assert.equal(hex(TAGS[name]), tag);
      assert.match(tag, /^5a51[0-9a-f]{10}(00|3a)$/);
    },
  },
  codec: {
    valid: (entry) => assert.deepEqual(asJson(shapes(toBytes(entry.bytes))), {
      a: 7,
      b: [1, 2],
      c: 'xy',
      d: { Full: { e: 5 } },
    }),
    invalid: refused(shapes, anyStructure),
  },
  group_key: {
    async valid(entry) {
      const key = await zq.TrustedKey.of(entry.bytes);
      assert.equal(hex(key.id), entry.key_id);
      assert.equal(zq.addressOfKey(key.bytes), entry.address);
    },
    invalid: (entry) => assert.equal(groupKeyFlaw(toBytes(entry.bytes)), entry.error),
  },
  address: {
    valid(entry) {
      assert.equal(zq.addressOfKey(entry.key), entry.address);
      assert.equal(hex(zq.parseAddress(entry.address)), entry.bytes);
    },
    invalid: refused((bytes) => zq.parseAddress(new TextDecoder().decode(bytes))),
  },
  commit: {
    async valid(entry, file) {
      const commit = zq.decodeCommit(entry.bytes);
      assert.deepEqual(written(commit), entry.fields);
      assert.equal(await zq.statement(commit.bytes, entry.root), entry.statement);
      assert.equal(commit.bytes.length, file.length);
    },
    invalid: refused(zq.decodeCommit),
  },
  leaf: {
    async valid(entry) {
      assert.deepEqual(written(zq.decodeLeaf(entry.bytes)), entry.fields);
      assert.equal(hex(await zq.leafHash(entry.bytes)), entry.hash);
    },
    invalid: refused(zq.decodeLeaf),
  },
  merkle: {
    async valid(entry) {
      assert.equal(hex(await zq.merkleRoot(entry.entries)), entry.root);
      for (const [index, path] of entry.paths.entries()) {
        assert.deepEqual((await zq.merklePath(entry.entries, index)).map(hex), path);
        const hash = await zq.leafHash(entry.entries[index]);
        const siblings = path.map((sibling) => toBytes(sibling));
        const root = await zq.rootFromPath(hash, index, entry.entries.length, siblings);
        assert.equal(hex(root), entry.root);
      }
      assert.equal(await zq.merklePath(entry.entries, entry.entries.length), null);
    },
    async invalid(entry) {
      const path = entry.path.map((sibling) => toBytes(sibling));
      assert.equal(await zq.rootFromPath(toBytes(entry.leaf_hash), entry.index, entry.size, path), null);
    },
  },
  ed25519: {
    valid: async (entry) => assert.equal(await signature(entry), null),
    invalid: async (entry) => assert.equal(await signature(entry), entry.error),
  },
  receipt: {
    async valid(entry, file) {
      const verified = await verifyReceipt(entry);
      assert.deepEqual(written(verified.commit), entry.commit);
      assert.equal(String(verified.index), entry.index);
      assert.equal(verified.root, entry.root);
      assert.equal(verified.statement, entry.statement);
      assert.deepEqual(verified.checks, entry.checks);
      assert.deepEqual(file.checks?.map((check) => check.name) ?? zq.CHECKS, zq.CHECKS);
    },
    async invalid(entry) {
      const error = await failure(() => verifyReceipt(entry));
      assert.ok(error instanceof zq.Refused, `accepted, or failed otherwise: ${error}`);
      assert.equal(error.check, entry.check);
      if (entry.error) assert.equal(error.reason, entry.error);
    },
    malformed: refused(zq.decodeReceipt),
  },
  step_attestation: {
    async valid(entry) {
      const step = zq.decodeStepAttestation(entry.bytes);
      const key = await trusted(entry.group_key);
      assert.equal(hex(step.commit.bytes), entry.commit);
      assert.equal(hex(step.signature), entry.signature);
      const signed = sigStructure(protectedHeader(step.commit, key.id), toBytes(step.root));
      assert.equal(hex(signed), entry.signed);
      const verified = await zq.verifyStepAttestation(entry.bytes, { key });
      assert.equal(verified.root, entry.root);
      assert.equal(verified.statement, entry.statement);
    },
    invalid: refused(zq.decodeStepAttestation, anyStructure),
    async forged(entry) {
      const key = await trusted(entry.group_key);
      const error = await failure(() => zq.verifyStepAttestation(entry.bytes, { key }));
      assert.ok(error instanceof zq.Refused, `accepted, or failed otherwise: ${error}`);
      assert.equal(error.reason, entry.error);
    },
  },
  request: {
    async valid(entry) {
      const { call, signature: signed, id, signed: layout } = await zq.decodeRequest(entry.bytes);
      assert.deepEqual(asJson({ call, signature: signed }), entry.request);
      assert.equal(id, entry.id);
      assert.equal(hex(layout), entry.signed);
    },
    invalid: refused(zq.decodeRequest, anyStructure),
  },
  committee: {
    async valid(entry) {
      const { id, ...record } = await zq.decodeCreationRecord(entry.bytes);
      assert.deepEqual(asJson(record), entry.record);
      assert.equal(id, entry.id);
      assert.equal(hex(signedCard(record.members[0])), entry.card_signed);
      assert.equal(sentinelStatement(record.network, record.members[0]), entry.sentinel_signed);
    },
    invalid: refused(zq.decodeCreationRecord, anyStructure),
    quorums: (entry) => assert.equal(zq.quorumError(entry.members, entry.threshold), entry.error),
  },
};
