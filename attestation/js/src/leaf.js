// Leaves: the outputs of a step, fixed-offset records.

import { Fields, toBytes } from './bytes.js';
import { Malformed } from './errors.js';

const VERSION = 1;
const OUTPUT = 0;
const SETTLEMENT = 1;
const MESSAGE = 2;
const KEY_CHANGE = 3;
const BLOCK = 4;
const OUTPUT_LENGTH = 151;
const SETTLEMENT_LENGTH = 94;
const MESSAGE_LENGTH = 162;
const PAYLOAD_BYTES_MAX = 16 * 1024;
const KEY_CHANGE_LENGTH = 117;
const SECP256K1 = 1;
const ED25519 = 2;
const BLOCK_LENGTH = 348;
const BLOCK_VERSION = 1n;
const BLOCK_TYPES = [2n, 3n];
// SHA3-256 of nothing.
const NO_DESCENDANTS = 'a7ffc6f8bf1ed76651c14756a061d662f580ff4de43b49fa82d80a4b80f8434a';
const SYSTEM = '00'.repeat(32);

/** How a request ended, by number. */
export const STATUSES = Object.freeze(['ok', 'reverted', 'trapped', 'out_of_gas', 'refused', 'faulted']);

/** Reads a leaf of any known kind. */
export function decodeLeaf(value) {
  const bytes = toBytes(value, 'leaf');
  if (bytes[0] !== VERSION) throw new Malformed('At { offset: 0 }');
  if (bytes[1] === OUTPUT) return decodeOutput(bytes);
  if (bytes[1] === SETTLEMENT) return decodeSettlement(bytes);
  if (bytes[1] === MESSAGE) return decodeMessageLeaf(bytes);
  if (bytes[1] === KEY_CHANGE) return decodeKeyChange(bytes);
  if (bytes[1] === BLOCK) return decodeBlock(bytes);
  throw new Malformed('At { offset: 1 }');
}

function decodeOutput(bytes) {
  const fields = new Fields(bytes, OUTPUT_LENGTH);
  fields.take(2);
  return {
    kind: 'output',
    zapp: fields.hex(32),
    seq: fields.u64(),
    request: fields.hex(32),
    status: readStatus(fields),
    code: fields.u32(),
    gas: fields.u64(),
    output: fields.hex(32),
    events: fields.hex(32),
  };
}

function readStatus(fields) {
  const status = fields.u8();
  if (STATUSES[status] === undefined) throw new Malformed(`At { offset: ${fields.at - 1} }`);
  return status;
}

function readSystem(fields) {
  if (fields.hex(32) !== SYSTEM) throw new Malformed('At { offset: 2 }');
}

function decodeSettlement(bytes) {
  const fields = new Fields(bytes, SETTLEMENT_LENGTH);
  fields.take(2);
  readSystem(fields);
  return {
    kind: 'settlement',
    seq: fields.u64(),
    epoch: fields.u64(),
    requests: fields.u32(),
    gas: fields.u64(),
    fees: fields.u64(),
    requestsTotal: fields.u64(),
    gasTotal: fields.u64(),
    feesTotal: fields.u64(),
  };
}

function decodeMessageLeaf(bytes) {
  const most = MESSAGE_LENGTH + PAYLOAD_BYTES_MAX;
  const fields = new Fields(bytes, Math.min(Math.max(bytes.length, MESSAGE_LENGTH), most));
  fields.take(2);
  const leaf = {
    kind: 'message',
    zapp: fields.hex(32),
    seq: fields.u64(),
    chain: fields.u64(),
    contract: fields.hex(32),
    receiver: fields.hex(32),
    channel: fields.hex(32),
    number: fields.u64(),
    gas: fields.u64(),
    payload: fields.hex(bytes.length - MESSAGE_LENGTH),
  };
  if (leaf.number === 0n) throw new Malformed('At { offset: 146 }');
  return leaf;
}

function decodeKeyChange(bytes) {
  const fields = new Fields(bytes, KEY_CHANGE_LENGTH);
  fields.take(2);
  readSystem(fields);
  const leaf = {
    kind: 'key_change',
    seq: fields.u64(),
    suite: fields.u8(),
    lastSeq: fields.u64(),
    old: fields.hex(33),
    new: fields.hex(33),
  };
  if (leaf.suite !== SECP256K1 && leaf.suite !== ED25519) throw new Malformed('At { offset: 42 }');
  return leaf;
}

function decodeBlock(bytes) {
  const fields = new Fields(bytes, BLOCK_LENGTH);
  const checked = (width, read, holds) => {
    const value = read();
    if (!holds(value)) throw new Malformed(`At { offset: ${fields.at - width} }`);
    return value;
  };
  fields.take(2);
  readSystem(fields);
  const seq = fields.u64();
  checked(8, () => fields.u64(), (version) => version === BLOCK_VERSION);
  return {
    kind: 'block',
    seq,
    chain: fields.u64(),
    blockType: checked(8, () => fields.u64(), (type) => BLOCK_TYPES.includes(type)),
    previous: fields.hex(32),
    height: checked(8, () => fields.u64(), (height) => height !== 0n),
    momentum: fields.hex(32),
    momentumHeight: fields.u64(),
    account: fields.hex(20),
    to: fields.hex(20),
    amount: fields.hex(32),
    token: fields.hex(10),
    source: fields.hex(32),
    data: (checked(32, () => fields.hex(32), (digest) => digest === NO_DESCENDANTS), fields.hex(32)),
    fusedPlasma: fields.u64(),
    difficulty: fields.u64(),
    nonce: fields.hex(8),
  };
}
