// SHA-256 and SHA-512 by WebCrypto; SHA3-256, which WebCrypto lacks, for addresses alone.

let found;

/** WebCrypto: a global in browsers and in Node from 19 on, a module of Node 18. */
export async function subtle() {
  if (found === undefined) {
    const crypto = globalThis.crypto ?? (await import('node:crypto')).webcrypto;
    if (!crypto?.subtle) throw new Error('no WebCrypto here: browsers offer it over https alone');
    found = crypto.subtle;
  }
  return found;
}

export async function sha256(bytes) {
  return new Uint8Array(await (await subtle()).digest('SHA-256', bytes));
}

export async function sha512(bytes) {
  return new Uint8Array(await (await subtle()).digest('SHA-512', bytes));
}

const WORD = (1n << 64n) - 1n;
const RATE = 136;

/** SHA3-256 (FIPS 202). */
export function sha3(bytes) {
  const padded = new Uint8Array((Math.floor(bytes.length / RATE) + 1) * RATE);
  padded.set(bytes);
  padded[bytes.length] ^= 0x06;
  padded[padded.length - 1] ^= 0x80;
  const view = new DataView(padded.buffer);
  const state = new Array(25).fill(0n);
  for (let block = 0; block < padded.length; block += RATE) {
    for (let lane = 0; lane < RATE / 8; lane += 1) {
      state[lane] ^= view.getBigUint64(block + 8 * lane, true);
    }
    permute(state);
  }
  const out = new DataView(new ArrayBuffer(32));
  for (let lane = 0; lane < 4; lane += 1) out.setBigUint64(8 * lane, state[lane], true);
  return new Uint8Array(out.buffer);
}

const rotate = (word, by) => ((word << BigInt(by)) | (word >> BigInt(64 - by))) & WORD;

/** Keccak-f[1600]: 24 rounds of θ, ρ, π, χ, ι on lanes at x + 5y. */
function permute(state) {
  for (const constant of ROUND_CONSTANTS) {
    const parity = [0, 1, 2, 3, 4].map(
      (x) => state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20],
    );
    for (let lane = 0; lane < 25; lane += 1) {
      state[lane] ^= parity[(lane + 4) % 5] ^ rotate(parity[(lane + 1) % 5], 1);
    }
    const moved = new Array(25);
    for (let lane = 0; lane < 25; lane += 1) {
      const [x, y] = [lane % 5, Math.floor(lane / 5)];
      moved[y + 5 * ((2 * x + 3 * y) % 5)] = rotate(state[lane], OFFSETS[lane]);
    }
    for (let lane = 0; lane < 25; lane += 1) {
      const row = lane - (lane % 5);
      state[lane] = moved[lane] ^ (~moved[row + ((lane + 1) % 5)] & WORD & moved[row + ((lane + 2) % 5)]);
    }
    state[0] ^= constant;
  }
}

/** ρ: the lane that is t-th on the walk (x, y) → (y, 2x + 3y) is rotated by t(t + 1)/2. */
const OFFSETS = (() => {
  const offsets = new Array(25).fill(0);
  let [x, y] = [1, 0];
  for (let step = 1; step <= 24; step += 1) {
    offsets[x + 5 * y] = ((step * (step + 1)) / 2) % 64;
    [x, y] = [y, (2 * x + 3 * y) % 5];
  }
  return offsets;
})();

/** ι: bit 2^j − 1 of round r's constant is bit j + 7r of the register x^8 + x^6 + x^5 + x^4 + 1. */
const ROUND_CONSTANTS = (() => {
  let register = 1;
  return Array.from({ length: 24 }, () => {
    let constant = 0n;
    for (let bit = 0; bit < 7; bit += 1) {
      if (register & 1) constant |= 1n << BigInt(2 ** bit - 1);
      register = register & 0x80 ? ((register << 1) ^ 0x171) & 0xff : register << 1;
    }
    return constant;
  });
})();
