// Verifies quorum attestations in browsers and in Node, with WebCrypto and nothing else.

export { addressOfKey, addressText, parseAddress } from './address.js';
export { decodeCommit, statement } from './commit.js';
export { committeeFrom } from './committee.js';
export { verify as verifySignature } from './ed25519.js';
export { Malformed, Refused } from './errors.js';
export { TrustedKey } from './key.js';
export { STATUSES, decodeLeaf } from './leaf.js';
export { leafHash, merklePath, merkleRoot, rootFromPath } from './merkle.js';
export {
  decodeCreationRecord,
  decodeRequest,
  decodeStepAttestation,
  quorumError,
  verifyStepAttestation,
} from './messages.js';
export { decodeReceipt, keyId } from './receipt.js';
export { CHECKS, verifyReceipt } from './verify.js';
