"""Judges every golden vector, valid or not, and prints how many cases of each file were judged.

Files lie in attestation/vectors and in the folder that ZQ_VECTORS_MORE names. A file or a list that
no reader knows is an error, as is any case that is not judged as it says.
"""

import functools
import json
import os
from pathlib import Path

import zquorum_attestation as zq

NO_CASES = {"about", "format", "length", "offsets", "checks", "signed_bytes", "content_type"}
unhex = bytes.fromhex


def written(value):
    """A decoded value as the vectors write it, numbers in decimal."""
    if type(value) is bytes:
        return value.hex()
    return str(value) if type(value) is int else value


def as_json(value):
    """A message as its JSON."""
    if type(value) is dict:
        return {name: list(part) if name == "input" else as_json(part) for name, part in value.items()}
    if type(value) is list:
        return [as_json(part) for part in value]
    return value.hex() if type(value) is bytes else value


def same(found, wanted):
    assert found == wanted, f"{found!r}, not {wanted!r}"


def refusal(run):
    """The name of what `run` raises, and its check."""
    try:
        run()
    except zq.Malformed as malformed:
        return str(malformed), None
    except zq.Refused as refused:
        return refused.reason, refused.check
    return "accepted", None


def refused(decode):
    def judge(case, _file):
        same(refusal(lambda: decode(unhex(case["bytes"])))[0], case["error"])

    return judge


def refused_strictly(decode):
    """A strict reader does not tell a second encoding of a message from no message."""

    def judge(case, _file):
        names = refusal(lambda: decode(unhex(case["bytes"])))[0], case["error"]
        same(*(name.replace("NotCanonical", "Structure") for name in names))

    return judge


def shapes(data):
    """The message of codec.json."""
    return zq.struct(
        zq.message(data, 64), a=zq.uint(), b=zq.listed(zq.uint()), c=zq.text,
        d=lambda kind: zq.struct(kind, Full=lambda full: zq.struct(full, e=zq.uint())),
    )


def valid_codec(case, _file):
    same(shapes(unhex(case["bytes"])), {"a": 7, "b": [1, 2], "c": "xy", "d": {"Full": {"e": 5}}})


def valid_tag(case, _file):
    name, tag = case
    ours = {"COMMIT": b"ZQSTEP1\0", "REQUEST": b"ZQRQST1\0", "COMMITTEE": b"ZQCOMM1\0", "CARD": b"ZQCARD1\0"}
    ours["SENTINEL"] = b"ZQSNTL1:"
    same(ours.get(name, unhex(tag)).hex(), tag)
    same(len(tag), 16)


def valid_group_key(case, _file):
    key = zq.TrustedKey(unhex(case["bytes"]))
    same(key.id.hex(), case["key_id"])
    same(zq.address_of_key(key.key), case["address"])


def invalid_group_key(case, _file):
    name = refusal(lambda: zq.TrustedKey(unhex(case["bytes"])))
    same(name, (f"GroupKey({case['error']})", "group-key"))


def valid_address(case, _file):
    same(zq.address_of_key(unhex(case["key"])), case["address"])
    same(zq.parse_address(case["address"]).hex(), case["bytes"])


def valid_commit(case, file):
    data = unhex(case["bytes"])
    fields = {name: written(value) for name, value in zq.decode_commit(data).items()}
    same(fields, case["fields"])
    same(zq.sha256(data, unhex(case["root"])).hex(), case["statement"])
    same(len(data), file["length"])


def valid_leaf(case, _file):
    data = unhex(case["bytes"])
    small = {"status", "code", "requests", "suite"}
    decoded = zq.decode_leaf(data)
    same({name: value if name in small else written(value) for name, value in decoded.items()}, case["fields"])
    same(zq.sha256(b"\0", data).hex(), case["hash"])


def valid_merkle(case, _file):
    entries = [unhex(entry) for entry in case["entries"]]
    same(len(case["paths"]), len(entries))
    for index, path in enumerate(case["paths"]):
        leaf_hash = zq.sha256(b"\0", entries[index])
        root = zq.root_from_path(leaf_hash, index, len(entries), [unhex(digest) for digest in path])
        same(root.hex(), case["root"])


def invalid_merkle(case, _file):
    path = [unhex(digest) for digest in case["path"]]
    same(zq.root_from_path(unhex(case["leaf_hash"]), case["index"], case["size"], path), None)


def signature(case):
    return zq.signature_flaw(*(unhex(case[part]) for part in ("key", "message", "signature")))


@functools.lru_cache(maxsize=None)
def trusted(key):
    """Checking a key takes milliseconds, and the vectors share few."""
    return zq.TrustedKey(unhex(key))


def ask(case):
    leaf, committee = (None if case[part] is None else unhex(case[part]) for part in ("leaf", "committee"))
    return zq.verify_receipt(unhex(case["receipt"]), leaf, trusted(case["group_key"]), committee)


def valid_receipt(case, file):
    verified = ask(case)
    same({name: written(value) for name, value in verified["commit"].items()}, case["commit"])
    same(str(verified["index"]), case["index"])
    same(verified["root"].hex(), case["root"])
    same(verified["statement"].hex(), case["statement"])
    same(verified["checks"], case["checks"])
    same(zq.CHECKS, [check["name"] for check in file["checks"]] if "checks" in file else zq.CHECKS)


def invalid_receipt(case, _file):
    reason, check = refusal(lambda: ask(case))
    same(check, case["check"])
    same(reason, case.get("error", reason))


def valid_step(case, _file):
    key = trusted(case["group_key"])
    step = zq.verify_step(unhex(case["bytes"]), key)
    for part in ("commit", "root", "signature", "statement"):
        same(step[part].hex(), case[part])
    same(zq.step_signed(step, key).hex(), case["signed"])


def forged_step(case, _file):
    data = unhex(case["bytes"])
    zq.decode_step(data)
    same(refusal(lambda: zq.verify_step(data, trusted(case["group_key"]))), (case["error"], "signature"))


def valid_request(case, _file):
    request = zq.decode_request(unhex(case["bytes"]))
    same(request.pop("id").hex(), case["id"])
    same(request.pop("signed").hex(), case["signed"])
    same(as_json(request), case["request"])


def valid_record(case, _file):
    record = zq.decode_record(unhex(case["bytes"]))
    same(record.pop("id").hex(), case["id"])
    same(zq.card_signed(record["members"][0]).hex(), case["card_signed"])
    same(zq.sentinel_signed(record["network"], record["members"][0]).decode(), case["sentinel_signed"])
    same(as_json(record), case["record"])


READERS = {
    "tags": {"valid": valid_tag},
    "codec": {"valid": valid_codec, "invalid": refused_strictly(shapes)},
    "group_key": {"valid": valid_group_key, "invalid": invalid_group_key},
    "address": {
        "valid": valid_address,
        "invalid": refused(lambda data: zq.parse_address(data.decode())),
    },
    "commit": {"valid": valid_commit, "invalid": refused(zq.decode_commit)},
    "leaf": {"valid": valid_leaf, "invalid": refused(zq.decode_leaf)},
    "merkle": {"valid": valid_merkle, "invalid": invalid_merkle},
    "ed25519": {
        "valid": lambda case, _file: same(signature(case), None),
        "invalid": lambda case, _file: same(signature(case), case["error"]),
    },
    "receipt": {
        "valid": valid_receipt,
        "invalid": invalid_receipt,
        "malformed": refused(zq.decode_receipt),
    },
    "step_attestation": {
        "valid": valid_step,
        "invalid": refused_strictly(zq.decode_step),
        "forged": forged_step,
    },
    "request": {"valid": valid_request, "invalid": refused_strictly(zq.decode_request)},
    "committee": {
        "valid": valid_record,
        "invalid": refused_strictly(zq.decode_record),
        "quorums": lambda case, _file: same(
            zq.quorum_flaw(case["members"], case["threshold"]), case["error"]
        ),
    },
}


def judge(path):
    """Judges every case of a file; the number of cases."""
    file = json.loads(path.read_text())
    readers = READERS[file["format"]]
    count = 0
    for name in file.keys() - NO_CASES:
        cases = file[name].items() if type(file[name]) is dict else file[name]
        for at, case in enumerate(cases):
            try:
                readers[name](case, file)
            except Exception as error:
                raise AssertionError(f"{path.name} {name} {at}: {case}"[:300]) from error
            count += 1
    return count


def main():
    """Judges every file."""
    folders = [Path(__file__).parent.parent / "vectors"]
    if more := os.environ.get("ZQ_VECTORS_MORE"):
        folders.append(Path(more))
    for path in sorted(path for folder in folders for path in folder.glob("*.json")):
        count = judge(path)
        assert count, f"{path} holds no case"
        print(f"vectors {path.name} {count}")


if __name__ == "__main__":
    main()
