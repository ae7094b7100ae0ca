"""Verifies quorum attestations of zquorum committees with public libraries.

cbor2 decodes, pycose and cryptography check signatures. What they leave open is closed here, by the
rules of the Rust crate: one encoding per value, canonical points, none of small order, a torsion-free
group key.

    verified = verify_receipt(receipt, leaf, TrustedKey(key), committee)

raises Refused with the first check that fails. `python zquorum_attestation.py RECEIPT LEAF COMMITTEE`
does the same for files.
"""

import hashlib
import io
import json
import sys
from dataclasses import dataclass

import cbor2
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from pycose.keys import OKPKey
from pycose.keys.curves import Ed25519
from pycose.messages import Sign1Message

CHECKS = [
    "group-key", "receipt", "key-id", "committee", "tree-size", "leaf", "position", "inclusion", "signature",
]


class Malformed(Exception):
    """Bytes or text that are not a value of their format; the reason is the golden vectors' name for it."""


class Refused(Exception):
    """A receipt, step or key that did not pass a check."""

    def __init__(self, check: str, reason: str) -> None:
        super().__init__(f"{check}: {reason}")
        self.check, self.reason = check, reason


def sha256(*parts: bytes) -> bytes:
    return hashlib.sha256(b"".join(parts)).digest()


# CBOR.


def decode(data: bytes):
    """The one item that the bytes hold, if they are its deterministic encoding."""
    stream = io.BytesIO(data)
    try:
        value = cbor2.CBORDecoder(stream).decode()
    except Exception as error:  # noqa: BLE001 - whatever it raises, it did not decode
        raise Malformed("Structure") from error
    if stream.read(1):
        raise Malformed("Structure")
    check_plain(value)
    if cbor2.dumps(value) != data:
        # A key that stands twice is lost on the way.
        raise Malformed("Structure" if has_double_key(data) else "NotCanonical")
    return value


def check_plain(value, depth: int = 0) -> None:
    """Integers, strings, lists, maps with integers or text as keys, true, false, null and tags: to
    Python 1, 1.0 and True are one key."""
    parts = []
    if type(value) is cbor2.CBORTag:
        parts = [value.value]
    elif type(value) is dict:
        if any(type(key) not in (int, str) for key in value):
            raise Malformed("Structure")
        parts = value.values()
    elif type(value) is list:
        parts = value
    elif value is cbor2.undefined:
        raise Malformed("NotCanonical")
    elif type(value) not in (int, bytes, str, bool, type(None)):
        raise Malformed("Structure")
    if depth > 16:
        raise Malformed("Structure")
    for part in parts:
        check_plain(part, depth + 1)


def has_double_key(data: bytes) -> bool:
    """Whether a map of up to 23 pairs at the start of the bytes has a key twice."""
    if not data or not 0xA0 <= data[0] <= 0xB7:
        return False
    decoder = cbor2.CBORDecoder(io.BytesIO(data[1:]))
    keys = [(decoder.decode(), decoder.decode())[0] for _ in range(data[0] - 0xA0)]
    return len(set(keys)) < len(keys)


def message(data: bytes, most: int):
    if len(data) > most:
        raise Malformed(f"TooLong {{ actual: {len(data)}, max: {most} }}")
    return decode(data)


def struct(value, optional=None, **fields):
    """A message's fields, if they are these in this order; each is read by its function.

    Those of `optional` are last, in their order, each or not.
    """
    optional = optional or {}
    if type(value) is not dict or list(value) != [*fields, *(name for name in optional if name in value)]:
        raise Malformed("Structure")
    reads = fields | optional
    return {name: reads[name](part) for name, part in value.items()}


def is_set(value):
    """A flag that is written only where it is true."""
    if value is not True:
        raise Malformed("Structure")
    return True


def uint(bits: int = 64):
    def read(value):
        if type(value) is not int or not 0 <= value < 1 << bits:
            raise Malformed("Structure")
        return value

    return read


def string(width: int | None = None):
    def read(value):
        if type(value) is not bytes or width not in (None, len(value)):
            raise Malformed("Structure")
        return value

    return read


def text(value):
    if type(value) is not str:
        raise Malformed("Structure")
    return value


def listed(read):
    def read_all(value):
        if type(value) is not list:
            raise Malformed("Structure")
        return [read(item) for item in value]

    return read_all


# Ed25519. OpenSSL checks the plain equation; points are judged here.

P = 2**255 - 19
ORDER = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
IDENTITY = (0, 1)


def add(left, right):
    (x1, y1), (x2, y2) = left, right
    part = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + part, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - part, -1, P) % P,
    )


def multiply(scalar: int, point):
    result = IDENTITY
    for bit in f"{scalar:b}":
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def read_point(encoded: bytes):
    """The point that 32 bytes encode, and what is wrong with them or None."""
    number = int.from_bytes(encoded, "little")
    sign, given = number >> 255, number & (1 << 255) - 1
    y = given % P
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if x * x % P != square:
        x = x * pow(2, (P - 1) // 4, P) % P
    if x * x % P != square:
        return None, "NotAPoint"
    if given >= P or (x == 0 and sign):
        return None, "NotCanonical"
    point = (x if x & 1 == sign else P - x, y)
    return point, "SmallOrder" if multiply(8, point) == IDENTITY else None


def signature_flaw(key: bytes, signed: bytes, signature: bytes):
    """The first rule that a signature breaks, or None."""
    broken = encoding_flaw(key, signature)
    if broken is None and not equation_holds(key, signed, signature):
        broken = "Equation"
    return broken


def encoding_flaw(key: bytes, signature: bytes):
    """What is wrong with points and scalar, or None."""
    if len(key) != 32 or len(signature) != 64:
        return "Length"
    if flaw := read_point(key)[1]:
        return f"Key{flaw}"
    if int.from_bytes(signature[32:], "little") >= ORDER:
        return "ScalarNotReduced"
    if flaw := read_point(signature[:32])[1]:
        return f"R{flaw}"
    return None


def equation_holds(key: bytes, signed: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, signed)
    except InvalidSignature:
        return False
    return True


class TrustedKey:
    """A group key that passed the checks: canonical, not of small order, torsion-free."""

    def __init__(self, key: bytes) -> None:
        point, flaw = read_point(key)
        if flaw is None and multiply(ORDER, point) != IDENTITY:
            flaw = "Torsion"
        if flaw is not None:
            raise Refused("group-key", f"GroupKey({flaw})")
        self.key = key
        # RFC 9679: SHA-256 of the COSE_Key.
        self.id = sha256(cbor2.dumps({1: 1, -1: 6, -2: key}))


# Addresses.

BECH32 = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"


def address_of_key(key: bytes) -> str:
    return address_text(b"\0" + hashlib.sha3_256(key).digest()[:19])


def address_text(address: bytes) -> str:
    bits = f"{int.from_bytes(address, 'big'):0160b}"
    data = [int(bits[at : at + 5], 2) for at in range(0, 160, 5)]
    residue = 1
    for value in [3, 0, 26, *data, *[0] * 6]:  # "z", expanded
        top = residue >> 25
        residue = (residue & 0x1FFFFFF) << 5 ^ value
        for bit, part in enumerate([0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3]):
            residue ^= part * (top >> bit & 1)
    residue ^= 1
    data += [residue >> shift & 31 for shift in range(25, -1, -5)]
    return "z1" + "".join(BECH32[value] for value in data)


def parse_address(given: str) -> bytes:
    values = [BECH32.find(character) for character in given[2:]]
    if len(values) != 38 or -1 in values:
        raise Malformed("ParseAddressError")
    bits = "".join(f"{value:05b}" for value in values[:32])
    address = int(bits, 2).to_bytes(20, "big")
    if address_text(address) != given:
        raise Malformed("ParseAddressError")
    return address


# Commit, leaf, tree.

COMMIT_FIELDS = {
    "network": 8, "committee": 32, "epoch": 8, "seq": 8, "tree_size": 8, "previous_state": 32, "state": 32,
    "profile": 32, "previous": 32, "anchor_height": 8, "anchor": 32, "time_ms": 8, "gas_used": 8,
    "inputs": 32, "trace": 32,
}


class Fields:
    """The fields of a fixed-offset layout, one after the other."""

    def __init__(self, data: bytes, length: int) -> None:
        if len(data) != length:
            raise Malformed(f"Length {{ actual: {len(data)}, expected: {length} }}")
        self.data, self.at = data, 0

    def expect(self, head: bytes) -> None:
        if self.take(len(head)) != head:
            raise Malformed(f"At {{ offset: {self.at - len(head)} }}")

    def take(self, width: int) -> bytes:
        self.at += width
        return self.data[self.at - width : self.at]

    def number(self, width: int = 8) -> int:
        return int.from_bytes(self.take(width), "big")


def decode_commit(data: bytes) -> dict:
    fields = Fields(data, 345)
    fields.expect(b"\x90")
    fields.expect(b"\x48")
    fields.expect(b"ZQSTEP1\0")
    commit = {}
    for name, width in COMMIT_FIELDS.items():
        fields.expect(b"\x48" if width == 8 else b"\x58\x20")
        commit[name] = fields.number() if width == 8 else fields.take(32)
    return commit


def decode_leaf(data: bytes) -> dict:
    if data[:1] != b"\1":
        raise Malformed("At { offset: 0 }")
    if data[1:2] not in (b"\0", b"\1", b"\2", b"\3", b"\4"):
        raise Malformed("At { offset: 1 }")
    if data[1] == 2:
        return decode_message(data)
    if data[1] == 3:
        return decode_key_change(data)
    if data[1] == 4:
        return decode_block(data)
    if data[1] == 1:
        fields = Fields(data, 94)
        fields.take(2)
        fields.expect(bytes(32))
        widths = {"seq": 8, "epoch": 8, "requests": 4, "gas": 8, "fees": 8}
        widths |= {"requests_total": 8, "gas_total": 8, "fees_total": 8}
        return {"kind": "settlement"} | {name: fields.number(width) for name, width in widths.items()}
    fields = Fields(data, 151)
    fields.take(2)
    leaf = {"kind": "output", "zapp": fields.take(32), "seq": fields.number(), "request": fields.take(32)}
    leaf["status"] = fields.number(1)
    if leaf["status"] > 5:
        raise Malformed("At { offset: 74 }")
    leaf |= {"code": fields.number(4), "gas": fields.number()}
    return leaf | {"output": fields.take(32), "events": fields.take(32)}


def decode_message(data: bytes) -> dict:
    fields = Fields(data, min(max(len(data), 162), 162 + 16 * 1024))
    fields.take(2)
    leaf = {"kind": "message", "zapp": fields.take(32), "seq": fields.number(), "chain": fields.number()}
    leaf |= {name: fields.take(32) for name in ("contract", "receiver", "channel")}
    leaf |= {"number": fields.number(), "gas": fields.number()}
    if leaf["number"] == 0:
        raise Malformed("At { offset: 146 }")
    return leaf | {"payload": fields.take(len(data) - 162)}


def decode_key_change(data: bytes) -> dict:
    fields = Fields(data, 117)
    fields.take(2)
    fields.expect(bytes(32))
    leaf = {"kind": "key_change", "seq": fields.number(), "suite": fields.number(1)}
    if leaf["suite"] not in (1, 2):
        raise Malformed("At { offset: 42 }")
    return leaf | {"last_seq": fields.number(), "old": fields.take(33), "new": fields.take(33)}


def decode_block(data: bytes) -> dict:
    """A block of the committee's NoM account; its hash is SHA3-256 of data[42:]."""
    fields = Fields(data, 348)
    fields.take(2)
    fields.expect(bytes(32))
    leaf = {"kind": "block", "seq": fields.number()}
    fields.expect((1).to_bytes(8, "big"))
    leaf |= {"chain": fields.number(), "block_type": fields.number()}
    if leaf["block_type"] not in (2, 3):
        raise Malformed("At { offset: 58 }")
    leaf |= {"previous": fields.take(32), "height": fields.number()}
    if leaf["height"] == 0:
        raise Malformed("At { offset: 98 }")
    leaf |= {"momentum": fields.take(32), "momentum_height": fields.number(), "account": fields.take(20)}
    leaf |= {"to": fields.take(20), "amount": fields.take(32), "token": fields.take(10), "source": fields.take(32)}
    fields.expect(hashlib.sha3_256().digest())
    leaf |= {"data": fields.take(32), "fused_plasma": fields.number(), "difficulty": fields.number()}
    return leaf | {"nonce": fields.take(8)}


def root_from_path(leaf_hash: bytes, index: int, size: int, path: list[bytes]):
    """RFC 9162, section 2.1.3.2; None if index or path do not fit the size."""
    if not 0 <= index < size:
        return None
    node, last, digest = index, size - 1, leaf_hash
    for sibling in path:
        if last == 0:
            return None
        if node & 1 or node == last:
            digest = sha256(b"\1", sibling, digest)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            digest = sha256(b"\1", digest, sibling)
        node, last = node >> 1, last >> 1
    return digest if last == 0 else None


# Receipts.


@dataclass
class Receipt:
    """A decoded receipt; nothing in it is verified."""

    data: bytes
    algorithm: int
    key_id: bytes
    commit: dict
    commit_bytes: bytes
    leaf_hash: bytes
    tree_size: int
    index: int
    path: list[bytes]
    signature: bytes
    protected: bytes


def decode_receipt(data: bytes) -> Receipt:
    if len(data) > 4096:
        raise Malformed(f"TooLong {{ actual: {len(data)} }}")
    protected, header, unprotected, payload, signature = decode_cose(data)
    if payload is not None:
        raise Malformed("Payload")
    if type(header.get(1)) is not int or header[1] not in (-8, -19):
        raise Malformed("Algorithm")
    if not is_string(header.get(4), 32):
        raise Malformed("KeyId")
    if header.get(16) != "application/vnd.zquorum.step+cose":
        raise Malformed("ContentType")
    if type(header.get(395)) is not int or header[395] != 1:
        raise Malformed("DataStructure")
    if type(header.get(-70001)) is not bytes:
        raise Malformed("Commit(Structure)")
    commit = renamed("Commit({})", decode_commit, header[-70001])
    if header.get(15) != claims(commit) or list(header[15]) != [1, 2]:
        raise Malformed("Claims")
    if not is_string(unprotected.get(-70002), 32):
        raise Malformed("LeafHash")
    tree_size, index, path = decode_proof(unprotected.get(396))
    if not is_string(signature, 64):
        raise Malformed("Signature")
    if list(header) != [1, 4, 15, 16, 395, -70001] or list(unprotected) != [396, -70002]:
        raise Malformed("NotCanonical")
    return Receipt(
        data, header[1], header[4], commit, header[-70001], unprotected[-70002], tree_size, index, path,
        signature, protected,
    )


def decode_cose(data: bytes):
    """Protected bytes, their map, unprotected map, payload and signature of a tagged COSE_Sign1."""
    outer = as_cose(data)
    if type(outer) is not cbor2.CBORTag or outer.tag != 18 or type(outer.value) is not list:
        raise Malformed("Cose")
    if [type(part) for part in outer.value[:2] + outer.value[3:]] != [bytes, dict, bytes]:
        raise Malformed("Cose")
    protected, unprotected, payload, signature = outer.value
    header = as_cose(protected)
    if type(header) is not dict:
        raise Malformed("Cose")
    return protected, header, unprotected, payload, signature


def as_cose(data: bytes):
    try:
        return decode(data)
    except Malformed as error:
        raise Malformed("Cose" if str(error) == "Structure" else str(error)) from error


def renamed(form: str, read, *given):
    try:
        return read(*given)
    except Malformed as error:
        raise Malformed(form.format(error)) from error


def is_string(value, width: int) -> bool:
    return type(value) is bytes and len(value) == width


def claims(commit: dict) -> dict:
    issuer = f"zq:{commit['network']:016x}:{commit['committee'].hex()}"
    return {1: issuer, 2: f"zq:step:{commit['seq']:016x}"}


def decode_proof(proofs):
    """Tree size, index and path of the one inclusion proof."""
    if type(proofs) is not dict or list(proofs) != [-1] or type(proofs[-1]) is not list:
        raise Malformed("Proof")
    if len(proofs[-1]) != 1 or type(proofs[-1][0]) is not bytes:
        raise Malformed("Proof")
    try:
        proof = decode(proofs[-1][0])
    except Malformed as error:
        raise Malformed("Proof" if str(error) == "Structure" else str(error)) from error
    if type(proof) is not list or [type(part) for part in proof] != [int, int, list]:
        raise Malformed("Proof")
    size, index, path = proof
    numbers_fit = 0 <= size < 1 << 64 and 0 <= index < 1 << 64
    if not numbers_fit or not 1 <= len(path) <= 16 or not all(is_string(hash_, 32) for hash_ in path):
        raise Malformed("Proof")
    return size, index, path


def verify_receipt(data: bytes, leaf: bytes | None, key: TrustedKey, committee: bytes | None = None) -> dict:
    """Verifies a receipt, offline; without leaf only its hash is proven."""
    try:
        receipt = decode_receipt(data)
    except Malformed as error:
        raise Refused("receipt", f"Receipt({error})") from error
    commit = receipt.commit
    if receipt.key_id != key.id:
        raise Refused("key-id", "KeyId")
    if committee not in (None, commit["committee"]):
        raise Refused("committee", f"Committee {{ actual: CommitteeId({commit['committee'].hex()}) }}")
    if receipt.tree_size != commit["tree_size"] or not 2 <= receipt.tree_size <= 65536:
        counts = f"proof: {receipt.tree_size}, commit: {commit['tree_size']}"
        raise Refused("tree-size", f"TreeSize {{ {counts} }}")
    decoded = None if leaf is None else check_leaf(leaf, receipt)
    root = root_from_path(receipt.leaf_hash, receipt.index, receipt.tree_size, receipt.path)
    if root is None:
        raise Refused("inclusion", f"Inclusion {{ index: {receipt.index}, tree_size: {receipt.tree_size} }}")
    if not signed_by(key, receipt, root):
        raise Refused("signature", "Signature")
    unmade = {"committee"} if committee is None else set()
    unmade |= {"leaf", "position"} if leaf is None else set()
    return {
        "commit": commit,
        "root": root,
        "statement": sha256(receipt.commit_bytes, root),
        "index": receipt.index,
        "leaf": decoded,
        "checks": [check for check in CHECKS if check not in unmade],
    }


def check_leaf(leaf: bytes, receipt: Receipt) -> dict:
    if sha256(b"\0", leaf) != receipt.leaf_hash:
        raise Refused("leaf", "OtherLeaf")
    try:
        decoded = decode_leaf(leaf)
    except Malformed as error:
        raise Refused("leaf", f"LeafMalformed({error})") from error
    seq = receipt.commit["seq"]
    if decoded["seq"] != seq:
        raise Refused("position", f"Step {{ leaf: Seq({decoded['seq']}), commit: Seq({seq}) }}")
    if (receipt.index == 0) != (decoded["kind"] == "settlement"):
        raise Refused("position", f"Kind {{ index: {receipt.index} }}")
    return decoded


def signed_by(key: TrustedKey, receipt: Receipt, root: bytes) -> bool:
    """The signature over protected header and root: by pycose, which knows algorithm -8 alone."""
    if encoding_flaw(key.key, receipt.signature) is not None:
        return False
    if receipt.algorithm != -8:
        return equation_holds(key.key, sig_structure(receipt.protected, root), receipt.signature)
    sign1 = Sign1Message.decode(receipt.data)
    sign1.key = OKPKey(crv=Ed25519, x=key.key)
    return sign1.verify_signature(detached_payload=root)


def sig_structure(protected: bytes, root: bytes) -> bytes:
    return cbor2.dumps(["Signature1", protected, b"", root])


# Wire messages.


def decode_step(data: bytes) -> dict:
    """The attestation of a whole step; nothing is verified."""
    step = struct(message(data, 1024), commit=string(), root=string(32), signature=string(64))
    return step | {"fields": renamed("Structure", decode_commit, step["commit"])}


def verify_step(data: bytes, key: TrustedKey) -> dict:
    step = decode_step(data)
    if signature_flaw(key.key, step_signed(step, key), step["signature"]) is not None:
        raise Refused("signature", "Signature")
    return step | {"statement": sha256(step["commit"], step["root"])}


def step_signed(step: dict, key: TrustedKey) -> bytes:
    typ = "application/vnd.zquorum.step+cose"
    header = {1: -8, 4: key.id, 15: claims(step["fields"]), 16: typ, 395: 1, -70001: step["commit"]}
    return sig_structure(cbor2.dumps(header), step["root"])


def layout(tag: bytes, *fields) -> bytes:
    return tag + b"".join(part if type(part) is bytes else part.to_bytes(8, "big") for part in fields)


def fee_payer(value):
    payer = uint(8)(value)
    if payer > 2:
        raise Malformed("Structure")
    return payer


def decode_request(data: bytes) -> dict:
    def read_call(value):
        return struct(
            value, network=uint(), committee=string(32), zapp=string(32), method=text, input=string(),
            gas_limit=uint(), fee_payer=fee_payer, nonce=uint(), valid_until_ms=uint(), caller=string(32),
        )

    def read():
        return struct(message(data, 66560), call=read_call, signature=string(64))

    request = renamed("Malformed({})", read)
    call = request["call"]
    method = call["method"].encode()
    if not 1 <= len(method) <= 64:
        raise Malformed(f"Method({len(method)})")
    if len(call["input"]) > 65536:
        raise Malformed(f"Input({len(call['input'])})")
    if read_point(call["caller"])[1] is not None:
        raise Malformed("CallerKey")
    parts = {**call, "method": layout(b"", len(method), method)}
    parts["input"] = layout(b"", len(call["input"]), call["input"])
    signed = layout(b"ZQRQST1\0", *parts.values())
    if signature_flaw(call["caller"], signed, request["signature"]) is not None:
        raise Malformed("Signature")
    return request | {"signed": signed, "id": sha256(signed)}


# The context string of the suite that EVM contracts verify (RFC 9591 section 6).
EVM_SUITE = b"FROST-secp256k1-KECCAK256-v1"

ENGINES = ("wasmtime", "wasmi")


def decode_record(data: bytes) -> dict:
    """A committee's creation record, checked."""

    def read_card(value):
        return struct(
            value, {"engine": read_engine, "sentinel": read_sentinel}, identity=string(32),
            channel=string(32), image=string(32), payout=string(32), signature=string(64),
        )

    def read_engine(value):
        if value not in ENGINES:
            raise Malformed("Structure")
        return value

    def read_sentinel(value):
        return struct(value, owner=string(32), proof=string(64))

    def read_conditions(value):
        conditions = struct(value, {"engine_members_min": uint(16), "sentinels": is_set})
        if not conditions or conditions.get("engine_members_min") == 0:
            raise Malformed("Structure")
        return conditions

    def read_terms(value):
        return struct(
            value, gas_price=uint(), request_fee=uint(), byte_deposit=uint(), work_bits=uint(8), work_gas=uint(),
        )

    def read_grant(value):
        return struct(value, account=string(32), amount=uint())

    def read():
        return struct(
            message(data, 65536), {"evm": is_set, "conditions": read_conditions}, network=uint(), threshold=uint(16), members=listed(read_card),
            coordinators=listed(read_card), profile=string(32), created_ms=uint(), salt=string(32),
            terms=read_terms, grants=listed(read_grant),
        )

    record = renamed("Malformed({})", read)
    members, coordinators = record["members"], record["coordinators"]
    if flaw := quorum_flaw(len(members), record["threshold"]):
        raise Malformed(f"Quorum({flaw})")
    if not 1 <= len(coordinators) <= 16:
        raise Malformed(f"Coordinators({len(coordinators)})")
    if flaw := terms_flaw(record["terms"], record["grants"]):
        raise Malformed(f"Terms({flaw})")
    keys = set()
    for at, card in enumerate(members + coordinators):
        for key in (card["identity"], card["channel"]):
            if key in keys:
                raise Malformed("DuplicateKey")
            keys.add(key)
        if signature_flaw(card["identity"], card_signed(card), card["signature"]) is not None:
            raise Malformed(f"Card({at})")
        if at >= len(members) and ("engine" in card or "sentinel" in card):
            raise Malformed(f"Coordinator({at})")
    if flaw := conditions_flaw(record):
        raise Malformed(f"Conditions({flaw})")
    cards = [part for card in members + coordinators for part in list(card.values())[:4]]
    counts = [record["network"], record["threshold"], len(members), len(coordinators)]
    ends = [record["profile"], record["created_ms"], record["salt"]]
    grants = [part for grant in record["grants"] for part in grant.values()]
    ends += [*record["terms"].values(), len(record["grants"]), *grants]
    if record.get("evm"):
        ends += named(EVM_SUITE)
    for at, card in enumerate(members):
        if "engine" in card:
            ends += [*named(b"engine"), at, *named(card["engine"].encode())]
        if "sentinel" in card:
            ends += [*named(b"sentinel"), at, card["sentinel"]["owner"]]
    conditions = record.get("conditions", {})
    if "engine_members_min" in conditions:
        ends += [*named(b"engines"), conditions["engine_members_min"]]
    if "sentinels" in conditions:
        ends += named(b"sentinels")
    return record | {"id": sha256(layout(b"ZQCOMM1\0", *counts, *cards, *ends))}


def named(part: bytes) -> list:
    """A part of a layout whose width the layout says."""
    return [len(part), part]


def conditions_flaw(record: dict) -> str | None:
    """Why conditions of membership, or members under them, are refused."""
    conditions, members = record.get("conditions", {}), record["members"]
    demanded, blocking = conditions.get("engine_members_min", 0), len(members) - record["threshold"] + 1
    if 0 < demanded < blocking:
        return f"EngineDemandTooLow {{ demanded: {demanded}, blocking: {blocking} }}"
    if demanded > len(members) // 2:
        return f"EngineDemandTooHigh {{ demanded: {demanded}, members: {len(members)} }}"
    owners = set()
    for slot, card in enumerate(members, 1):
        if demanded and "engine" not in card:
            return f"EngineUnsaid(Slot({slot}))"
        if "sentinel" in card:
            owner, proof = card["sentinel"].values()
            if signature_flaw(owner, sentinel_signed(record["network"], card), proof) is not None:
                return f"SentinelProof(Slot({slot}))"
            if owner in owners and conditions.get("sentinels"):
                return f"SentinelTwice(Slot({slot}))"
            owners.add(owner)
        elif conditions.get("sentinels"):
            return f"SentinelMissing(Slot({slot}))"
    for engine in ENGINES:
        count = sum(card.get("engine") == engine for card in members)
        if count < demanded:
            return f"TooFewOnEngine {{ engine: {engine.capitalize()}, members: {count}, demanded: {demanded} }}"
    return None


def sentinel_signed(network: int, card: dict) -> bytes:
    """The line of text by which a Sentinel's owner vouches for a member."""
    return b"ZQSNTL1:" + layout(b"", network, card["identity"], card["channel"]).hex().encode()


def terms_flaw(terms: dict, grants: list) -> str | None:
    """Why terms or grants are refused."""
    for price in (terms["gas_price"], terms["request_fee"], terms["byte_deposit"]):
        if price > 10**9:
            return f"Price({price})"
    if terms["work_bits"] > 48:
        return f"Work({terms['work_bits']})"
    if len(grants) > 64:
        return f"Grants({len(grants)})"
    for at, grant in enumerate(grants):
        if grant["amount"] == 0 or at > 0 and grants[at - 1]["account"] >= grant["account"]:
            return f"Grant({at})"
    return "Supply" if sum(grant["amount"] for grant in grants) > 1 << 62 else None


def card_signed(card: dict) -> bytes:
    engine = named(card["engine"].encode()) if "engine" in card else []
    return layout(b"ZQCARD1\0", card["identity"], card["channel"], card["image"], card["payout"], *engine)


def quorum_flaw(members: int, threshold: int):
    """Why members and threshold are refused (rule A15), or None."""
    if not 4 <= members <= 150:
        return f"Members({members})"
    pair = f"{{ members: {members}, threshold: {threshold} }}"
    if threshold > members:
        return f"Unreachable {pair}"
    return f"Unsafe {pair}" if 2 * threshold <= members + (members - 1) // 3 else None


def main(arguments: list[str]) -> int:
    """Ends with 0 if the receipt proves the leaf, with 3 if it does not, with 2 if misused."""
    if len(arguments) != 3:
        print("usage: zquorum_attestation.py RECEIPT.cose LEAF.bin COMMITTEE.json", file=sys.stderr)
        return 2
    data, leaf, file = (open(path, "rb").read() for path in arguments)
    committee = json.loads(file)
    try:
        key = TrustedKey(bytes.fromhex(committee["group_key"]))
        verified = verify_receipt(data, leaf, key, bytes.fromhex(committee["committee_id"]))
    except Refused as refused:
        print(refused, file=sys.stderr)
        return 3
    print("\n".join(f"ok {check}" for check in verified["checks"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
