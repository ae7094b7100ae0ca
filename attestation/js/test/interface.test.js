// What the package promises beside verdicts: its types, its inputs, its example.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import { toBytes } from '../src/bytes.js';
import * as zq from '../src/index.js';

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const vectors = (format) => JSON.parse(readFileSync(here(`../../vectors/${format}.json`), 'utf8'));
const { valid } = vectors('receipt');
const [good] = valid;

test('every export has a type and every type an export', () => {
  const types = readFileSync(here('../src/index.d.ts'), 'utf8');
  const declared = [...types.matchAll(/^export (?:function|const|class) (\w+)/gm)].map(([, name]) => name);
  assert.deepEqual(declared.sort(), Object.keys(zq).sort());
});

test('bytes come as digits, as Uint8Array, as Buffer, as ArrayBuffer, at any offset', async () => {
  const bytes = toBytes(good.receipt);
  const shifted = new Uint8Array(bytes.length + 7);
  shifted.set(bytes, 7);
  const forms = [good.receipt, bytes, Buffer.from(bytes), bytes.slice().buffer, shifted.subarray(7)];
  for (const form of forms) {
    const { group_key: key, leaf, committee } = good;
    const verified = await zq.verifyReceipt(form, { key, leaf, committee });
    assert.equal(verified.statement, good.statement);
  }
});

test('a misuse is a TypeError, not a verdict', async () => {
  const { group_key: key, receipt, leaf } = good;
  for (const misuse of [
    () => zq.verifyReceipt(receipt),
    () => zq.verifyReceipt(receipt, { key: 'aa' }),
    () => zq.verifyReceipt(receipt, { key, leaf: 7 }),
    () => zq.verifyReceipt(receipt, { key, leaf, committee: '00' }),
    () => zq.verifyReceipt('no digits', { key }),
    () => zq.committeeFrom('{}'),
  ]) {
    await assert.rejects(misuse, TypeError);
  }
  assert.throws(() => new zq.TrustedKey(toBytes(key), toBytes(key)), TypeError);
});

test('one flipped bit in any byte of a receipt or its leaf is refused', async () => {
  const { leaf, committee } = good;
  const key = await zq.TrustedKey.of(good.group_key);
  const refuses = (receipt, entry) =>
    assert.rejects(zq.verifyReceipt(receipt, { key, committee, leaf: entry }), zq.Refused);
  const flipped = (digits, at) => toBytes(digits).map((byte, index) => (index === at ? byte ^ (1 << at % 8) : byte));
  for (let at = 0; at < good.receipt.length / 2; at += 1) await refuses(flipped(good.receipt, at), leaf);
  for (let at = 0; at < leaf.length / 2; at += 1) await refuses(good.receipt, flipped(leaf, at));
});

test('the example verifies, and ends with 3 for another leaf', () => {
  const folder = mkdtempSync(join(tmpdir(), 'zquorum-'));
  try {
    const path = (name, content) => {
      writeFileSync(join(folder, name), content);
      return join(folder, name);
    };
    const committee = JSON.stringify({ group_key: good.group_key, committee_id: good.committee });
    const run = (leaf) => {
      const files = [
        path('receipt', toBytes(good.receipt)),
        path('leaf', toBytes(leaf)),
        path('committee.json', committee),
      ];
      return spawnSync(process.execPath, [here('../example/verify.mjs'), ...files], { encoding: 'utf8' });
    };
    const accepted = run(good.leaf);
    assert.equal(accepted.status, 0, accepted.stderr);
    assert.match(accepted.stdout, new RegExp(good.statement));
    const refused = run(valid[1].leaf);
    assert.equal(refused.status, 3);
    assert.match(refused.stderr, /^leaf: /);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
