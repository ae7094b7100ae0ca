// Wire messages: step attestations, requests, creation records. Maps with the names of their fields
// in the order of their declaration, in deterministic CBOR.

import { ascii, concat, hex, toBytes, u64 } from './bytes.js';
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
const PRICE_MAX = 1_000_000_000n;
const WORK_BITS_MAX = 48;
const GRANTS_MAX = 64;
const SUPPLY_MAX = 1n << 62n;

const digest = (reader) => hex(reader.string(32));
const number = (reader) => reader.uint();
const signature = (reader) => reader.string(64);
/** 0 the zApp, 1 the caller, 2 work. */
const feePayer = (reader) => {
  const payer = Number(reader.uint(8));
  if (payer > 2) throw new Malformed('Structure');
  return payer;
};

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
        fee_payer: feePayer,
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

// The suite that EVM contracts verify (RFC 9591 section 6).
const EVM_SUITE = 'FROST-secp256k1-KECCAK256-v1';
const ENGINES = ['wasmtime', 'wasmi'];

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
  const flawed = termsError(record.terms, record.grants);
  if (flawed !== null) throw new Malformed(`Terms(${flawed})`);
  await checkCards(record);
  const unmet = await conditionsError(record);
  if (unmet !== null) throw new Malformed(`Conditions(${unmet})`);
  return { ...record, id: await recordId(record) };
}

function readRecord(reader) {
  const keys = { identity: digest, channel: digest, image: digest, payout: digest, signature };
  const sentinel = (at) => at.struct({ owner: digest, proof: signature });
  const cards = (at) => at.list((here) => here.struct(keys, { engine, sentinel }), 1000);
  return reader.struct({
    network: number,
    threshold: (at) => Number(at.uint(16)),
    members: cards,
    coordinators: cards,
    profile: digest,
    created_ms: number,
    salt: digest,
    terms: (at) =>
      at.struct({
        gas_price: number,
        request_fee: number,
        byte_deposit: number,
        work_bits: (here) => Number(here.uint(8)),
        work_gas: number,
      }),
    grants: (at) => at.list((here) => here.struct({ account: digest, amount: number }), 10_000),
  }, { evm: (at) => at.set(), conditions });
}

function engine(reader) {
  const name = reader.text();
  if (!ENGINES.includes(name)) throw new Malformed('Structure');
  return name;
}

/** What is demanded of members; what is not demanded is not written. */
function conditions(reader) {
  const demanded = reader.struct({}, {
    engine_members_min: (at) => Number(at.uint(16)),
    sentinels: (at) => at.set(),
  });
  if (Object.keys(demanded).length === 0 || demanded.engine_members_min === 0) throw new Malformed('Structure');
  return demanded;
}

/** Why conditions of membership, or members under them, are refused, or null. */
async function conditionsError({ conditions: demands = {}, members, network, threshold }) {
  const [demanded, blocking] = [demands.engine_members_min ?? 0, members.length - threshold + 1];
  if (demanded > 0 && demanded < blocking) {
    return `EngineDemandTooLow { demanded: ${demanded}, blocking: ${blocking} }`;
  }
  if (demanded > Math.floor(members.length / 2)) {
    return `EngineDemandTooHigh { demanded: ${demanded}, members: ${members.length} }`;
  }
  const owners = new Set();
  for (const [at, card] of members.entries()) {
    const slot = `Slot(${at + 1})`;
    if (demanded > 0 && card.engine === undefined) return `EngineUnsaid(${slot})`;
    if (card.sentinel === undefined) {
      if (demands.sentinels) return `SentinelMissing(${slot})`;
      continue;
    }
    const { owner, proof } = card.sentinel;
    const statement = ascii(sentinelStatement(network, card));
    if ((await flaw(toBytes(owner), statement, proof)) !== null) return `SentinelProof(${slot})`;
    if (owners.has(owner) && demands.sentinels) return `SentinelTwice(${slot})`;
    owners.add(owner);
  }
  for (const [name, shown] of [['wasmtime', 'Wasmtime'], ['wasmi', 'Wasmi']]) {
    const count = members.filter((card) => card.engine === name).length;
    if (count < demanded) return `TooFewOnEngine { engine: ${shown}, members: ${count}, demanded: ${demanded} }`;
  }
  return null;
}

/** The line of text by which a Sentinel's owner vouches for a member on a network. */
export function sentinelStatement(network, card) {
  return String.fromCharCode(...TAGS.SENTINEL) + hex(u64(network)) + card.identity + card.channel;
}

async function checkCards({ members, coordinators }) {
  const keys = new Set();
  for (const [at, card] of [...members, ...coordinators].entries()) {
    for (const key of [card.identity, card.channel]) {
      if (keys.has(key)) throw new Malformed('DuplicateKey');
      keys.add(key);
    }
    const broken = await flaw(toBytes(card.identity), signedCard(card), card.signature);
    if (broken !== null) throw new Malformed(`Card(${at})`);
    const claims = card.engine !== undefined || card.sentinel !== undefined;
    if (claims && at >= members.length) throw new Malformed(`Coordinator(${at})`);
  }
}

/** What a card's identity key signs. */
export function signedCard(card) {
  const keys = [card.identity, card.channel, card.image, card.payout].map((part) => toBytes(part));
  return concat(TAGS.CARD, ...keys, ...(card.engine === undefined ? [] : named(card.engine)));
}

/** Text in a layout, after its length. */
function named(text) {
  return [u64(text.length), ascii(text)];
}

/** What a record says beyond keys, terms and grants, each part after its name. */
function claims({ members, conditions: demands = {}, evm }) {
  const ofCard = (card, at) => [
    ...(card.engine === undefined ? [] : [...named('engine'), u64(at), ...named(card.engine)]),
    ...(card.sentinel === undefined ? [] : [...named('sentinel'), u64(at), toBytes(card.sentinel.owner)]),
  ];
  return [
    ...(evm ? named(EVM_SUITE) : []),
    ...members.flatMap(ofCard),
    ...(demands.engine_members_min ? [...named('engines'), u64(demands.engine_members_min)] : []),
    ...(demands.sentinels ? named('sentinels') : []),
  ];
}

async function recordId(record) {
  const cards = [...record.members, ...record.coordinators];
  const layout = concat(
    TAGS.COMMITTEE,
    u64(record.network),
    u64(record.threshold),
    u64(record.members.length),
    u64(record.coordinators.length),
    ...cards.flatMap((card) => [card.identity, card.channel, card.image, card.payout].map((part) => toBytes(part))),
    toBytes(record.profile),
    u64(record.created_ms),
    toBytes(record.salt),
    ...['gas_price', 'request_fee', 'byte_deposit', 'work_bits', 'work_gas'].map((field) => u64(record.terms[field])),
    u64(record.grants.length),
    ...record.grants.flatMap((grant) => [toBytes(grant.account), u64(grant.amount)]),
    ...claims(record),
  );
  return hex(await sha256(layout));
}

/** Why terms or grants are refused, or null. */
function termsError(terms, grants) {
  for (const price of [terms.gas_price, terms.request_fee, terms.byte_deposit]) {
    if (price > PRICE_MAX) return `Price(${price})`;
  }
  if (terms.work_bits > WORK_BITS_MAX) return `Work(${terms.work_bits})`;
  if (grants.length > GRANTS_MAX) return `Grants(${grants.length})`;
  let supply = 0n;
  for (const [at, grant] of grants.entries()) {
    // Digits of one width compare as the bytes that they stand for.
    const rises = at === 0 || grants[at - 1].account < grant.account;
    if (grant.amount === 0n || !rises) return `Grant(${at})`;
    supply += grant.amount;
  }
  return supply > SUPPLY_MAX ? 'Supply' : null;
}

/** Why members and threshold are refused (rule A15), or null. */
export function quorumError(members, threshold) {
  if (members < MEMBERS_MIN || members > MEMBERS_MAX) return `Members(${members})`;
  const pair = `{ members: ${members}, threshold: ${threshold} }`;
  if (threshold > members) return `Unreachable ${pair}`;
  if (2 * threshold <= members + Math.floor((members - 1) / 3)) return `Unsafe ${pair}`;
  return null;
}
