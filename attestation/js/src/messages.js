// Wire messages: step attestations, requests, creation records. Maps with the names of their fields
// in the order of their declaration, in deterministic CBOR.

import { concat, hex, toBytes, u64 } from './bytes.js';
import { whole } from './cbor.js';
import { decodeCommit, statement } from './commit.js';
import { flaw, isKey } from './ed25519.js';
import { Malformed, Refused, wrapping } from './errors.js';
import { sha256 } from './hash.js';
import { TrustedKey } from './key.js';
import { protectedHeader, sigStructure } from './receipt.js';
import { TAGS } from './tags.js';

const STEP_BYTES_MAX = 1024;
const RECORD_BYTES_MAX = 64 * 1024;
const METHOD_BYTES_MAX = 64;
const INPUT_BYTES_MAX = 64 * 1024;
const REQUEST_BYTES_MAX = INPUT_BYTES_MAX + 1024;
const MEMBERS_MIN = 4;
const MEMBERS_MAX = 150;
const COORDINATORS_MAX = 16;

const digest = (reader) => hex(reader.string(32));
const number = (reader) => reader.uint();
const signature = (reader) => reader.string(64);

/** Reads a message of at most `most` bytes. */
export function decodeMessage(value, most, read) {
  const bytes = toBytes(value, 'message');
  if (bytes.length > most) throw new Malformed(`TooLong { actual: ${bytes.length}, max: ${most} }`);
  return whole(bytes, read);
}

/** Reads the attestation of a whole step; nothing is verified. */
export function decodeStepAttestation(bytes) {
  return decodeMessage(bytes, STEP_BYTES_MAX, (reader) =>
    reader.struct({
      commit: (at) => wrapping(() => 'Structure', () => decodeCommit(at.string())),
      root: digest,
      signature,
    }),
  );
}

/** Verifies a step's attestation; gives commit, root and statement. */
export async function verifyStepAttestation(bytes, { key } = {}) {
  const trusted = await TrustedKey.of(key);
  const step = decodeStepAttestation(bytes);
  const signed = sigStructure(protectedHeader(step.commit, trusted.id), toBytes(step.root));
  if (!(await trusted.verify(signed, step.signature))) {
    throw new Refused('signature', 'Signature', 'signature does not verify over commit and root');
  }
  const { commit, root } = step;
  return { commit, root, statement: await statement(commit.bytes, root) };
}

/** Reads a caller's request and checks shape and signature; `id` is the request's. */
export async function decodeRequest(bytes) {
  const request = wrapping(
    (reason) => `Malformed(${reason})`,
    () => decodeMessage(bytes, REQUEST_BYTES_MAX, readRequest),
  );
  const { call } = request;
  const method = new TextEncoder().encode(call.method);
  if (method.length < 1 || method.length > METHOD_BYTES_MAX) {
    throw new Malformed(`Method(${method.length})`);
  }
  if (call.input.length > INPUT_BYTES_MAX) throw new Malformed(`Input(${call.input.length})`);
  const caller = toBytes(call.caller);
  if (!isKey(caller)) throw new Malformed('CallerKey');
  const signed = signedCall(call, method);
  if ((await flaw(caller, signed, request.signature)) !== null) throw new Malformed('Signature');
  return { ...request, id: hex(await sha256(signed)), signed };
}

function readRequest(reader) {
  return reader.struct({
    call: (at) =>
      at.struct({
        network: number,
        committee: digest,
        zapp: digest,
        method: (here) => here.text(),
        input: (here) => here.string(),
        gas_limit: number,
        fee_payer: (here) => Number(here.uint(1)),
        nonce: number,
        valid_until_ms: number,
        caller: digest,
      }),
    signature,
  });
}

/** Tag, then every field in order; variable ones after their length. */
function signedCall(call, method) {
  return concat(
    TAGS.REQUEST,
    u64(call.network),
    toBytes(call.committee),
    toBytes(call.zapp),
    u64(method.length),
    method,
    u64(call.input.length),
    call.input,
    u64(call.gas_limit),
    u64(call.fee_payer),
    u64(call.nonce),
    u64(call.valid_until_ms),
    toBytes(call.caller),
  );
}

/** Reads a committee's creation record and checks it; `id` is the committee's. */
export async function decodeCreationRecord(bytes) {
  const record = wrapping(
    (reason) => `Malformed(${reason})`,
    () => decodeMessage(bytes, RECORD_BYTES_MAX, readRecord),
  );
  const wrong = quorumError(record.members.length, record.threshold);
  if (wrong !== null) throw new Malformed(`Quorum(${wrong})`);
  const count = record.coordinators.length;
  if (count < 1 || count > COORDINATORS_MAX) throw new Malformed(`Coordinators(${count})`);
  await checkCards([...record.members, ...record.coordinators]);
  return { ...record, id: await recordId(record) };
}

function readRecord(reader) {
  const cards = (at) =>
    at.list((here) => here.struct({ identity: digest, channel: digest, image: digest, signature }), 1000);
  return reader.struct({
    network: number,
    threshold: (at) => Number(at.uint(16)),
    members: cards,
    coordinators: cards,
    profile: digest,
    created_ms: number,
    salt: digest,
  });
}

async function checkCards(cards) {
  const keys = new Set();
  for (const [at, card] of cards.entries()) {
    for (const key of [card.identity, card.channel]) {
      if (keys.has(key)) throw new Malformed('DuplicateKey');
      keys.add(key);
    }
    const broken = await flaw(toBytes(card.identity), signedCard(card), card.signature);
    if (broken !== null) throw new Malformed(`Card(${at})`);
  }
}

/** What a card's identity key signs. */
export function signedCard(card) {
  return concat(TAGS.CARD, toBytes(card.identity), toBytes(card.channel), toBytes(card.image));
}

async function recordId(record) {
  const cards = [...record.members, ...record.coordinators];
  const layout = concat(
    TAGS.COMMITTEE,
    u64(record.network),
    u64(record.threshold),
    u64(record.members.length),
    u64(record.coordinators.length),
    ...cards.flatMap((card) => [card.identity, card.channel, card.image].map((part) => toBytes(part))),
    toBytes(record.profile),
    u64(record.created_ms),
    toBytes(record.salt),
  );
  return hex(await sha256(layout));
}

/** Why members and threshold are refused (rule A15), or null. */
export function quorumError(members, threshold) {
  if (members < MEMBERS_MIN || members > MEMBERS_MAX) return `Members(${members})`;
  const pair = `{ members: ${members}, threshold: ${threshold} }`;
  if (threshold > members) return `Unreachable ${pair}`;
  if (2 * threshold <= members + Math.floor((members - 1) / 3)) return `Unsafe ${pair}`;
  return null;
}
