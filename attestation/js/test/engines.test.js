// Engines that have no Ed25519, or another equation than the plain one: same verdicts.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';

import { toBytes } from '../src/bytes.js';
import { decodePoint, plainEquation } from '../src/ed25519.js';
import { subtle } from '../src/hash.js';
import { files, judge } from './vectors.js';

const engine = await subtle();
const { importKey, verify } = engine;

/** Judges signatures and receipts by a module that has not asked the engine yet. */
async function judgeAnew(changed) {
  Object.assign(engine, changed);
  try {
    const fresh = await import(`../src/ed25519.js?${Math.random()}`);
    const { path } = files.find(({ name }) => name === 'ed25519.json');
    const file = JSON.parse(readFileSync(path, 'utf8'));
    for (const entry of [...file.valid, ...file.invalid]) {
      const parts = [entry.key, entry.message, entry.signature].map((part) => toBytes(part));
      assert.equal(await fresh.flaw(...parts), entry.error ?? null, entry.name);
    }
  } finally {
    Object.assign(engine, { importKey, verify });
  }
}

test('an engine without Ed25519 has the same verdicts', () =>
  judgeAnew({
    importKey: async () => {
      throw new DOMException('Unrecognized name', 'NotSupportedError');
    },
  }));

test('an engine that accepts what only the cofactored equation accepts is found out', () =>
  judgeAnew({ verify: async () => true }));

test('an engine that refuses keys with a torsion part is found out', () =>
  judgeAnew({
    async verify(algorithm, key, signature, message) {
      const known = await verify.call(engine, algorithm, key, signature, message);
      return known && message.length === 1 && message[0] === 0xab;
    },
  }));

test('this engine and the equation computed here agree on every signature', async () => {
  const { path } = files.find(({ name }) => name === 'ed25519.json');
  const file = JSON.parse(readFileSync(path, 'utf8'));
  let compared = 0;
  for (const entry of [...file.valid, ...file.invalid]) {
    // Where another rule is broken, engines may say what they like.
    if (![undefined, 'Equation'].includes(entry.error)) continue;
    const [key, message, signature] = [entry.key, entry.message, entry.signature].map((part) => toBytes(part));
    const imported = await importKey.call(engine, 'raw', key, { name: 'Ed25519' }, false, ['verify']);
    const theirs = await verify.call(engine, { name: 'Ed25519' }, imported, signature, message);
    assert.equal(await plainEquation(key, decodePoint(key), message, signature), theirs, entry.name);
    compared += 1;
  }
  assert.ok(compared > 100, `${compared} compared`);
});

test('the receipts are judged by this engine', async () => {
  const { path } = files.find(({ name }) => name === 'receipt.json');
  assert.ok((await judge(path)) > 90);
});
