/** Bytes, or their hexadecimal digits. */
export type Bytes = Uint8Array | ArrayBuffer | string;

/** Bytes or text that are not a value of their format; `reason` is the golden vectors' name for it. */
export class Malformed extends Error {
  readonly name: 'Malformed';
  readonly reason: string;
}

/** One check of a verification. */
export type Check =
  | 'group-key'
  | 'receipt'
  | 'key-id'
  | 'committee'
  | 'tree-size'
  | 'leaf'
  | 'position'
  | 'inclusion'
  | 'signature';

/** All checks in the order in which they are made. */
export const CHECKS: readonly Check[];

/** What did not pass a check; `reason` is the golden vectors' name for it. */
export class Refused extends Error {
  readonly name: 'Refused';
  readonly check: Check;
  readonly reason: string;
}

/** A committee's group key that passed the checks: canonical, not of small order, torsion-free. */
export class TrustedKey {
  private constructor();
  /** Checks a key of 32 bytes; throws Refused. Keep the result: the check takes milliseconds. */
  static of(key: Bytes | TrustedKey): Promise<TrustedKey>;
  /** The key's bytes. */
  get bytes(): Uint8Array;
  /** RFC 9679 thumbprint: the `kid` of receipts. */
  get id(): Uint8Array;
  /** Whether `signature` is the group's strict signature over `message`. */
  verify(message: Uint8Array, signature: Uint8Array): Promise<boolean>;
  toString(): string;
}

/** What a step did. Digests are hexadecimal. */
export interface Commit {
  network: bigint;
  committee: string;
  epoch: bigint;
  seq: bigint;
  treeSize: bigint;
  previousState: string;
  state: string;
  profile: string;
  previous: string;
  anchorHeight: bigint;
  anchor: string;
  timeMs: bigint;
  gasUsed: bigint;
  inputs: string;
  trace: string;
  /** The 345 bytes that say all this. */
  bytes: Uint8Array;
}

/** The outcome of one request; `status` counts in STATUSES. */
export interface OutputLeaf {
  kind: 'output';
  zapp: string;
  seq: bigint;
  request: string;
  status: number;
  code: number;
  gas: bigint;
  /** SHA-256 of the output bytes. */
  output: string;
  events: string;
}

/** A step's bill, always leaf 0. */
export interface SettlementLeaf {
  kind: 'settlement';
  seq: bigint;
  epoch: bigint;
  requests: number;
  gas: bigint;
  fees: bigint;
  requestsTotal: bigint;
  gasTotal: bigint;
  feesTotal: bigint;
}

/** An outbound message: what a contract elsewhere is asked to do. */
export interface MessageLeaf {
  kind: 'message';
  zapp: string;
  seq: bigint;
  /** EIP-155 id of the destination's chain. */
  chain: bigint;
  /** The contract that accepts it, left-padded. */
  contract: string;
  /** Whom that contract calls, left-padded. */
  receiver: string;
  channel: string;
  /** Number in the channel, from 1. */
  number: bigint;
  /** Gas that the call is given. */
  gas: bigint;
  payload: string;
}

/**
 * The end of a group key that contracts trust, and its successor; keys are SEC1 compressed, or a
 * zero byte and an Ed25519 key.
 */
export interface KeyChangeLeaf {
  kind: 'key_change';
  seq: bigint;
  /** 1: FROST(secp256k1, KECCAK-256). */
  suite: number;
  lastSeq: bigint;
  old: string;
  new: string;
}

/**
 * A block of the committee's NoM account: all that is hashed. The block's hash is SHA3-256 of the
 * leaf from byte 42 on.
 */
export interface BlockLeaf {
  kind: 'block';
  seq: bigint;
  /** The network's chain identifier. */
  chain: bigint;
  /** 2: send, 3: receive. */
  blockType: bigint;
  /** Hash of the account's block before; zeros at height 1. */
  previous: string;
  height: bigint;
  momentum: string;
  momentumHeight: bigint;
  /** Core bytes of addresses. */
  account: string;
  to: string;
  amount: string;
  token: string;
  /** The block that a receive takes in. */
  source: string;
  /** SHA3-256 of the data. */
  data: string;
  fusedPlasma: bigint;
  difficulty: bigint;
  nonce: string;
}

export type Leaf = OutputLeaf | SettlementLeaf | MessageLeaf | KeyChangeLeaf | BlockLeaf;

/** How a request ended, by number. */
export const STATUSES: readonly string[];

/** What a verified receipt proves. */
export interface Verified {
  commit: Commit;
  /** Root over the step's leaves. */
  root: string;
  /** SHA-256(commit ‖ root): the attestation's id. */
  statement: string;
  /** Position of the leaf. */
  index: bigint;
  /** SHA-256(0x00 ‖ leaf). */
  leafHash: string;
  /** The leaf, if it was given; without it only its hash is proven. */
  leaf: Leaf | null;
  /** The checks that were made, in order. */
  checks: Check[];
}

/** Verifies a receipt, offline; throws Refused with the name of the first check that fails. */
export function verifyReceipt(
  receipt: Bytes,
  trust: {
    /** The committee's group key. */
    key: TrustedKey | Bytes;
    /** The leaf's exact bytes. */
    leaf?: Bytes | null;
    /** Id of the committee whose output it should be. */
    committee?: Bytes | null;
  },
): Promise<Verified>;

/** Group key and id of a committee file (`zq --json committee show`), its text or its JSON. */
export function committeeFrom(json: unknown): Promise<{ key: TrustedKey; committee: string }>;

/** A decoded receipt. Nothing in it is verified. */
export interface Receipt {
  /** -8 or -19; both mean Ed25519. */
  algorithm: number;
  keyId: string;
  commit: Commit;
  leafHash: Uint8Array;
  proof: { treeSize: bigint; index: bigint; path: Uint8Array[] };
  signature: Uint8Array;
  /** The protected header as it is signed. */
  protected: Uint8Array;
}

/** Reads a receipt in its one encoding; throws Malformed. */
export function decodeReceipt(bytes: Bytes): Receipt;

/** RFC 9679 thumbprint of a group key. */
export function keyId(key: Bytes): Promise<Uint8Array>;

/** Reads a commit; throws Malformed. */
export function decodeCommit(bytes: Bytes): Commit;

/** SHA-256(commit ‖ root), hexadecimal. */
export function statement(commit: Bytes, root: Bytes): Promise<string>;

/** Reads a leaf; throws Malformed. */
export function decodeLeaf(bytes: Bytes): Leaf;

/** SHA-256(0x00 ‖ entry). */
export function leafHash(entry: Bytes): Promise<Uint8Array>;

/** RFC 9162 root over entries. */
export function merkleRoot(entries: Bytes[]): Promise<Uint8Array>;

/** Inclusion path of an entry, from the leaf up; null if there is no such entry. */
export function merklePath(entries: Bytes[], index: number): Promise<Uint8Array[] | null>;

/** The root that a path leads to; null if index or path do not fit the size. */
export function rootFromPath(
  hash: Uint8Array,
  index: bigint | number,
  size: bigint | number,
  path: Uint8Array[],
): Promise<Uint8Array | null>;

/** The attestation of a whole step. Nothing in it is verified. */
export interface StepAttestation {
  commit: Commit;
  root: string;
  signature: Uint8Array;
}

/** Reads a step's attestation; throws Malformed. */
export function decodeStepAttestation(bytes: Bytes): StepAttestation;

/** Verifies a step's attestation; throws Refused or Malformed. */
export function verifyStepAttestation(
  bytes: Bytes,
  trust: { key: TrustedKey | Bytes },
): Promise<{ commit: Commit; root: string; statement: string }>;

/** A caller's request, its signature verified. */
export interface Request {
  call: {
    network: bigint;
    committee: string;
    zapp: string;
    method: string;
    input: Uint8Array;
    gas_limit: bigint;
    fee_payer: number;
    nonce: bigint;
    valid_until_ms: bigint;
    caller: string;
  };
  signature: Uint8Array;
  id: string;
  /** What the caller's key signs. */
  signed: Uint8Array;
}

/** Reads a request and checks shape and signature; throws Malformed. */
export function decodeRequest(bytes: Bytes): Promise<Request>;

/** A member's or coordinator's card. */
export interface Card {
  identity: string;
  channel: string;
  image: string;
  /** Account that gets what the member earns. */
  payout: string;
  signature: Uint8Array;
  /** What the member's executor runs zApps with, if the card says so. */
  engine?: 'wasmtime' | 'wasmi';
  /** The Sentinel that stands behind the member; `proof` is its owner's signature. */
  sentinel?: { owner: string; proof: Uint8Array };
}

/** A committee's creation record, checked. */
export interface CreationRecord {
  network: bigint;
  threshold: number;
  members: Card[];
  coordinators: Card[];
  profile: string;
  created_ms: bigint;
  salt: string;
  /** What requests and state cost, 10⁻⁸ QSR. */
  terms: {
    gas_price: bigint;
    request_fee: bigint;
    byte_deposit: bigint;
    work_bits: number;
    work_gas: bigint;
  };
  /** Balances that accounts begin with. */
  grants: { account: string; amount: bigint }[];
  /** Whether steps are signed for EVM chains, too. */
  evm?: true;
  /** What is demanded of members: so many on each engine, a Sentinel each. */
  conditions?: { engine_members_min?: number; sentinels?: true };
  /** The committee's id. */
  id: string;
}

/** Reads a creation record, checks quorum, cards and conditions; throws Malformed. */
export function decodeCreationRecord(bytes: Bytes): Promise<CreationRecord>;

/** Why members and threshold are refused, or null. */
export function quorumError(members: number, threshold: number): string | null;

/** Whether a signature is a strict Ed25519 signature. */
export function verifySignature(key: Bytes, message: Bytes, signature: Bytes): Promise<boolean>;

/** The NoM address of an Ed25519 key. */
export function addressOfKey(key: Bytes): string;

/** The text of an address's 20 bytes. */
export function addressText(bytes: Bytes): string;

/** The 20 bytes of an address; throws Malformed. */
export function parseAddress(text: string): Uint8Array;
