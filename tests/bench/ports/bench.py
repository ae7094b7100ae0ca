"""python bench.py RECEIPT.json: the verifier in Python beside pycose and cryptography alone."""

import json
import platform
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3] / "attestation/python"))

import zquorum_attestation as zq
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

ROUNDS = 15
MERKLE_LEAVES = 1000
PATH_LENGTH = 10

with open(sys.argv[1], encoding="utf-8") as file:
    vectors = json.load(file)
example = vectors["valid"][0]
receipt, leaf, root, committee, group_key = (
    bytes.fromhex(example[part]) for part in ("receipt", "leaf", "root", "committee", "group_key")
)
trusted = zq.TrustedKey(group_key)
is_registered = zq.decode_receipt(receipt).algorithm == -8

# As long as what a receipt's signature is over.
message = bytes([7]) * vectors["signed_bytes"]
private = Ed25519PrivateKey.generate()
public, signature = private.public_key().public_bytes_raw(), private.sign(message)

# Of the middle of a full tree of 1,000: the hashes need not be of anything to cost the same.
path = [bytes([at]) * 32 for at in range(PATH_LENGTH)]
leaf_hash = zq.sha256(b"\0", bytes(256))


def by_pycose():
    sign1 = Sign1Message.decode(receipt)
    sign1.key = OKPKey(crv=Ed25519, x=group_key)
    return sign1.verify_signature(detached_payload=root)


def by_cryptography():
    Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
    return True


CASES = [
    ("receipt, all checks: zquorum", 50, lambda: zq.verify_receipt(receipt, leaf, trusted, committee)),
    ("signature, strict: zquorum", 50, lambda: zq.signature_flaw(public, message, signature) is None),
    ("signature: cryptography", 500, by_cryptography),
    ("inclusion in 1,000: zquorum", 500, lambda: zq.root_from_path(leaf_hash, 501, MERKLE_LEAVES, path)),
]
if is_registered:
    CASES.insert(1, ("receipt's signature alone: pycose", 50, by_pycose))

seen = {name: [] for name, _, _ in CASES}
for _ in range(ROUNDS):
    for name, count, run in CASES:
        start = time.perf_counter_ns()
        for _ in range(count):
            if not run():
                raise SystemExit(f"{name}: refused")
        seen[name].append((time.perf_counter_ns() - start) / 1000 / count)
print(f"python {platform.python_version()}: receipt {len(receipt)} B, leaf {len(leaf)} B")
for name, times in seen.items():
    print(f"python {name}: {statistics.median(times):.1f} µs")
