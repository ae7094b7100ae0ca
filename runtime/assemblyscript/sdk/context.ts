// Who calls, and when; hashes and signatures, which the host computes.

import { Bytes, at } from "./bytes";
import { zapp0_ctx, zapp0_hash, zapp0_verify } from "./host";

/** The key that signed the request, or the id of the zApp that calls. */
export function caller(): Bytes {
  return field(1);
}

/** The key that signed the request. */
export function origin(): Bytes {
  return field(2);
}

/** This zApp's own id. */
export function self(): Bytes {
  return field(0);
}

export function requestId(): Bytes {
  return field(3);
}

export function committee(): Bytes {
  return field(9);
}

/** Height of the chain momentum that the step is anchored to. */
export function height(): u64 {
  return load<u64>(at(field(4)));
}

/** Time of the step in Unix milliseconds; the same for every request of a step. */
export function timeMs(): u64 {
  return load<u64>(at(field(5)));
}

function field(number: u32): Bytes {
  const bytes = new StaticArray<u8>(32);
  zapp0_ctx(number, at(bytes));
  return bytes;
}

export function sha256(bytes: Bytes): Bytes {
  return hash(0, bytes);
}

export function sha3_256(bytes: Bytes): Bytes {
  return hash(1, bytes);
}

export function keccak256(bytes: Bytes): Bytes {
  return hash(2, bytes);
}

function hash(algorithm: u32, bytes: Bytes): Bytes {
  const digest = new StaticArray<u8>(32);
  zapp0_hash(algorithm, at(bytes), bytes.length, at(digest));
  return digest;
}

/** Whether a signature (64 bytes) is a strict Ed25519 signature of the message under the key. */
export function ed25519Verify(key: Bytes, message: Bytes, signature: Bytes): bool {
  const verdict = zapp0_verify(
    0,
    at(message),
    message.length,
    at(signature),
    signature.length,
    at(key),
    key.length,
  );
  return verdict == 1;
}
