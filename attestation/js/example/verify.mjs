// node example/verify.mjs RECEIPT.cose LEAF.bin COMMITTEE.json
// Ends with 0 if the receipt proves the leaf, with 3 if it does not, with 2 if it is misused.

import { readFileSync } from 'node:fs';
import { Refused, committeeFrom, verifyReceipt } from '../src/index.js';

const paths = process.argv.slice(2);
if (paths.length !== 3) {
  console.error('usage: verify.mjs RECEIPT.cose LEAF.bin COMMITTEE.json');
  process.exit(2);
}
const [receipt, leaf, file] = paths.map((path) => readFileSync(path));
const { key, committee } = await committeeFrom(file.toString());
try {
  const verified = await verifyReceipt(receipt, { key, committee, leaf });
  verified.checks.forEach((check) => console.log(`ok ${check}`));
  console.log(`leaf ${verified.index} of step ${verified.commit.seq}, attestation ${verified.statement}`);
} catch (error) {
  if (!(error instanceof Refused)) throw error;
  console.error(error.message);
  process.exit(3);
}
