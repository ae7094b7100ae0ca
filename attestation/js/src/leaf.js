// Leaves: the outputs of a step, fixed-offset records.

import { Fields, toBytes } from './bytes.js';
import { Malformed } from './errors.js';

const VERSION = 1;
const OUTPUT = 0;
const SETTLEMENT = 1;
const OUTPUT_LENGTH = 151;
const SETTLEMENT_LENGTH = 94;
const SYSTEM = '00'.repeat(32);

/** How a request ended, by number. */
export const STATUSES = Object.freeze(['ok', 'reverted', 'trapped', 'out_of_gas', 'refused', 'faulted']);

/** Reads a leaf of any known kind. */
export function decodeLeaf(value) {
  const bytes = toBytes(value, 'leaf');
  if (bytes[0] !== VERSION) throw new Malformed('At { offset: 0 }');
  if (bytes[1] === OUTPUT) return decodeOutput(bytes);
  if (bytes[1] === SETTLEMENT) return decodeSettlement(bytes);
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

function decodeSettlement(bytes) {
  const fields = new Fields(bytes, SETTLEMENT_LENGTH);
  fields.take(2);
  if (fields.hex(32) !== SYSTEM) throw new Malformed('At { offset: 2 }');
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
