// node bench.mjs RECEIPT.json: the verifier in JavaScript beside signatures alone by others.

import { createPublicKey, generateKeyPairSync, sign, verify } from 'node:crypto';
import { readFileSync } from 'node:fs';
import * as noble from '@noble/ed25519';
import nacl from 'tweetnacl';
import * as zq from '../../../attestation/js/src/index.js';

const ROUNDS = 15;
const MERKLE_LEAVES = 1000;

const file = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const [example] = file.valid;
const unhex = (text) => Uint8Array.from(Buffer.from(text, 'hex'));
const [receipt, leaf] = [unhex(example.receipt), unhex(example.leaf)];
const key = await zq.TrustedKey.of(unhex(example.group_key));

// As long as what a receipt's signature is over.
const message = new Uint8Array(file.signed_bytes).fill(7);
const pair = generateKeyPairSync('ed25519');
const signature = new Uint8Array(sign(null, message, pair.privateKey));
const raw = Uint8Array.from(Buffer.from(pair.publicKey.export({ format: 'jwk' }).x, 'base64url'));
const native = createPublicKey(pair.publicKey.export({ format: 'pem', type: 'spki' }));

const entries = Array.from({ length: MERKLE_LEAVES }, (_, at) => new Uint8Array(256).fill(at & 255));
const at = MERKLE_LEAVES / 2 + 1;
const [root, path] = [await zq.merkleRoot(entries), await zq.merklePath(entries, at)];
const hash = await zq.leafHash(entries[at]);
const same = (left, right) => Buffer.compare(Buffer.from(left), Buffer.from(right)) === 0;

const cases = [
  ['receipt, all checks: zquorum', 100, async () => Boolean(await zq.verifyReceipt(receipt, { key, leaf, committee: example.committee }))],
  ['signature, strict: zquorum', 100, () => zq.verifySignature(raw, message, signature)],
  ['signature: @noble/ed25519', 100, () => noble.verifyAsync(signature, message, raw)],
  ['signature: tweetnacl', 50, () => nacl.sign.detached.verify(message, signature, raw)],
  ['signature: node:crypto', 500, () => verify(null, message, native, signature)],
  ['inclusion in 1,000: zquorum', 100, async () => same(await zq.rootFromPath(hash, at, MERKLE_LEAVES, path), root)],
];

const seen = cases.map(() => []);
for (let round = 0; round < ROUNDS; round += 1) {
  for (const [index, [name, count, run]] of cases.entries()) {
    const start = process.hrtime.bigint();
    for (let done = 0; done < count; done += 1) {
      if (!(await run())) throw new Error(`${name}: refused`);
    }
    seen[index].push(Number(process.hrtime.bigint() - start) / 1000 / count);
  }
}
console.log(`js ${process.version}: receipt ${receipt.length} B, leaf ${leaf.length} B, path in 1,000 ${path.length * 32} B`);
for (const [index, [name]] of cases.entries()) {
  const sorted = seen[index].sort((left, right) => left - right);
  console.log(`js ${name}: ${sorted[(ROUNDS - 1) / 2].toFixed(1)} µs`);
}
