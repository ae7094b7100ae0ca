"""Verifies receipts with pycose and with scitt-cose; neither is ours.

Reads a JSON array of {name, receipt, leaf, key} (hexadecimal) from standard input and prints a
JSON array of {name, pycose, scitt_cose, stock_cbor}: whether each verifier accepts.
"""

import hashlib
import json
import sys

import cbor2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message
from scitt_cose import verify_receipt


def root_of(receipt: bytes, leaf: bytes) -> bytes:
    """The root that leaf and inclusion proof lead to (RFC 9162 2.1.3.2)."""
    unprotected = cbor2.loads(receipt).value[1]
    size, index, path = cbor2.loads(unprotected[396][-1][0])
    node, last = index, size - 1
    digest = hashlib.sha256(b"\x00" + leaf).digest()
    for sibling in path:
        if node & 1 or node == last:
            digest = hashlib.sha256(b"\x01" + sibling + digest).digest()
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = hashlib.sha256(b"\x01" + digest + sibling).digest()
        node, last = node >> 1, last >> 1
    if last:
        raise ValueError("path too short")
    return digest


def by_pycose(receipt: bytes, leaf: bytes, key: bytes) -> bool:
    """COSE_Sign1 with the root as detached payload."""
    message = Sign1Message.decode(receipt)
    message.key = OKPKey(crv=Ed25519, x=key)
    return message.verify_signature(detached_payload=root_of(receipt, leaf))


def by_scitt_cose(receipt: bytes, leaf: bytes, key: bytes) -> bool:
    """The whole receipt, proof included, and the claims that RFC 9943 asks for."""
    pem = Ed25519PublicKey.from_public_bytes(key).public_bytes(
        Encoding.PEM, PublicFormat.SubjectPublicKeyInfo
    )
    result = verify_receipt(receipt, leaf_entry_hex=leaf.hex(), log_public_key_pem=pem)
    claims = (str(result.issuer), str(result.subject))
    return result.ok and all(claim.startswith("zq:") for claim in claims)


def by_stock_cbor(receipt: bytes, _leaf: bytes, _key: bytes) -> bool:
    """Whether a stock CBOR library writes the same bytes in its deterministic mode."""
    outer = cbor2.loads(receipt)
    protected = cbor2.loads(outer.value[0])
    fields = cbor2.loads(protected[-70001])
    return (
        sorted_bytewise(protected) == outer.value[0]
        and len(fields) == 16
        and {len(field) for field in fields} == {8, 32}
        and cbor2.dumps(fields, canonical=True) == protected[-70001]
    )


def sorted_bytewise(header: dict) -> bytes:
    """RFC 8949 4.2.1: keys in the bytewise order of their encodings."""
    pairs = sorted((cbor2.dumps(key), cbor2.dumps(value)) for key, value in header.items())
    return bytes([0xA0 | len(pairs)]) + b"".join(key + value for key, value in pairs)


def ask(verifier, case: dict) -> bool:
    """A verifier's verdict; refusing to decode is refusing."""
    try:
        return bool(verifier(*(bytes.fromhex(case[part]) for part in ("receipt", "leaf", "key"))))
    except Exception:  # noqa: BLE001 - whatever it raises, it did not accept
        return False


def main() -> None:
    """Asks every verifier about every case."""
    verdicts = [
        {
            "name": case["name"],
            "pycose": ask(by_pycose, case),
            "scitt_cose": ask(by_scitt_cose, case),
            "stock_cbor": ask(by_stock_cbor, case),
        }
        for case in json.load(sys.stdin)
    ]
    json.dump(verdicts, sys.stdout)


if __name__ == "__main__":
    main()
