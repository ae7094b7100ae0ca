package attestation

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"strconv"
)

// How each list of each format is judged.

// shapes reads the message of codec.json; of its text the length.
func shapes(encoded []byte) ([]uint64, error) {
	var found []uint64
	err := decodeMessage(encoded, 64, func(r *reader) {
		r.open(4)
		found = append(found, r.field("a").uint(math.MaxUint64))
		for count := r.field("b").of(4); count > 0 && r.err == nil; count-- {
			found = append(found, r.uint(math.MaxUint64))
		}
		found = append(found, uint64(len(r.field("c").text())))
		r.field("d").open(1)
		r.field("Full").open(1)
		found = append(found, r.field("e").uint(math.MaxUint64))
	})
	return found, err
}

var formats = map[string]map[string]judgement{
	"tags": {"valid": func(v vector) error {
		var tag string
		v.into("value", &tag)
		known := map[string][8]byte{
			"CARD": tagCard, "COMMIT": tagCommit, "COMMITTEE": tagCommittee, "REQUEST": tagRequest,
			"SENTINEL": tagSentinel,
		}
		ours, reads := known[v.text("name")]
		if reads {
			return same("tag", hex.EncodeToString(ours[:]), tag)
		}
		return same("length", len(tag), 16)
	}},
	"codec": {
		"valid": func(v vector) error {
			found, err := shapes(v.bytes("bytes"))
			return first(err, same("numbers", found, []uint64{7, 1, 2, 2, 5}))
		},
		"invalid": asStructure(shapes),
	},
	"group_key": {
		"valid": func(v vector) error {
			key, err := NewTrustedKey(v.digest("bytes"))
			if err != nil {
				return err
			}
			return first(
				same("id", key.ID().String(), v.text("key_id")),
				same("address", AddressOfKey(key.Key()).String(), v.text("address")),
			)
		},
		"invalid": func(v vector) error {
			_, err := NewTrustedKey(v.digest("bytes"))
			return same("refusal", refusal(err), "GroupKey("+v.text("error")+")")
		},
	},
	"address": {
		"valid": func(v vector) error {
			parsed, err := ParseAddress(v.text("address"))
			return first(
				err,
				same("address", AddressOfKey(v.digest("key")).String(), v.text("address")),
				same("bytes", hex.EncodeToString(parsed[:]), v.text("bytes")),
			)
		},
		"invalid": refusedBy(func(text []byte) (Address, error) { return ParseAddress(string(text)) }),
	},
	"commit": {
		"valid": func(v vector) error {
			commit, err := DecodeCommit(v.bytes("bytes"))
			return first(
				err,
				fieldsAre(commit, v["fields"]),
				same("bytes", commit.Bytes(), v.bytes("bytes")),
				same("statement", commit.Statement(v.digest("root")).String(), v.text("statement")),
			)
		},
		"invalid": refusedBy(DecodeCommit),
	},
	"leaf": {
		"valid": func(v vector) error {
			leaf, err := DecodeLeaf(v.bytes("bytes"))
			if err != nil {
				return err
			}
			var kind vector
			v.into("fields", &kind)
			_, settles := leaf.(*SettlementLeaf)
			return first(
				fieldsAre(leaf, v["fields"]),
				same("kind", settles, kind.text("kind") == "settlement"),
				same("hash", LeafHash(v.bytes("bytes")).String(), v.text("hash")),
			)
		},
		"invalid": refusedBy(DecodeLeaf),
	},
	"merkle": {"valid": merkleTree, "invalid": func(v vector) error {
		_, fits := RootFromPath(v.digest("leaf_hash"), v.number("index"), v.number("size"), v.path("path"))
		return same("fits", fits, false)
	}},
	"ed25519": {
		"valid":   func(v vector) error { return same("flaw", v.flaw(), "") },
		"invalid": func(v vector) error { return same("flaw", v.flaw(), v.text("error")) },
	},
	"receipt": {
		"valid":     validReceipt,
		"malformed": refusedBy(DecodeReceipt),
		"invalid": func(v vector) error {
			_, err := v.verifyReceipt()
			refused, is := err.(*Refused)
			if !is {
				return fmt.Errorf("accepted, or failed otherwise: %v", err)
			}
			if err := same("check", string(refused.Check), v.text("check")); err != nil {
				return err
			}
			if _, given := v["error"]; !given {
				return nil
			}
			return same("reason", refused.Reason, v.text("error"))
		},
	},
	"step_attestation": {
		"valid":   validStep,
		"invalid": asStructure(DecodeStepAttestation),
		"forged": func(v vector) error {
			step, err := DecodeStepAttestation(v.bytes("bytes"))
			if err != nil {
				return err
			}
			key, err := v.key()
			return first(err, same("refusal", refusal(step.Verify(key)), v.text("error")))
		},
	},
	"request": {
		"valid":   validRequest,
		"invalid": asStructure(DecodeRequest),
	},
	"committee": {
		"valid":   validRecord,
		"invalid": asStructure(DecodeCreationRecord),
		"quorums": func(v vector) error {
			flaw := quorumFlaw(int(v.number("members")), int(v.number("threshold")))
			return same("flaw", flaw, v.optional("error"))
		},
	},
}

func (v vector) flaw() string {
	return signatureFlaw(v.bytes("key"), v.bytes("message"), v.bytes("signature"))
}

func (v vector) path(name string) []Digest {
	var digits []string
	v.into(name, &digits)
	path := []Digest{}
	for _, digits := range digits {
		var hash Digest
		copy(hash[:], unhex(digits))
		path = append(path, hash)
	}
	return path
}

func merkleTree(v vector) error {
	var digits []string
	v.into("entries", &digits)
	entries := [][]byte{}
	for _, digits := range digits {
		entries = append(entries, unhex(digits))
	}
	if err := same("root", MerkleRoot(entries).String(), v.text("root")); err != nil {
		return err
	}
	var paths []json.RawMessage
	v.into("paths", &paths)
	for index, raw := range paths {
		wanted := vector{"path": raw}.path("path")
		found, is := MerklePath(entries, index)
		root, fits := RootFromPath(LeafHash(entries[index]), uint64(index), uint64(len(entries)), wanted)
		err := first(
			same("is an entry", is, true),
			same("path", append([]Digest{}, found...), wanted),
			same("fits", fits, true),
			same("root", root.String(), v.text("root")),
		)
		if err != nil {
			return err
		}
	}
	_, is := MerklePath(entries, len(entries))
	return first(same("is an entry", is, false), same("paths", len(paths), len(entries)))
}

func (v vector) verifyReceipt() (*Verified, error) {
	key, err := v.key()
	if err != nil {
		return nil, err
	}
	trust := Trust{Key: key}
	if v.optional("committee") != "" {
		committee := v.digest("committee")
		trust.Committee = &committee
	}
	var leaf *string
	v.into("leaf", &leaf)
	if leaf == nil {
		return VerifyReceipt(v.bytes("receipt"), nil, trust)
	}
	return VerifyReceipt(v.bytes("receipt"), append([]byte{}, unhex(*leaf)...), trust)
}

func validReceipt(v vector) error {
	verified, err := v.verifyReceipt()
	if err != nil {
		return err
	}
	var checks []Check
	v.into("checks", &checks)
	return first(
		fieldsAre(verified.Commit, v["commit"]),
		same("index", strconv.FormatUint(verified.Index, 10), v.text("index")),
		same("root", verified.Root.String(), v.text("root")),
		same("statement", verified.Statement.String(), v.text("statement")),
		same("checks", verified.Checks, checks),
	)
}

func validStep(v vector) error {
	step, err := DecodeStepAttestation(v.bytes("bytes"))
	if err != nil {
		return err
	}
	key, err := v.key()
	if err != nil {
		return err
	}
	return first(
		step.Verify(key),
		same("commit", step.Commit.Bytes(), v.bytes("commit")),
		same("root", step.Root.String(), v.text("root")),
		same("signature", hex.EncodeToString(step.Signature[:]), v.text("signature")),
		same("signed", sigStructure(protectedHeader(step.Commit, key.id), step.Root), v.bytes("signed")),
		same("statement", step.Statement().String(), v.text("statement")),
	)
}

func validRequest(v vector) error {
	request, err := DecodeRequest(v.bytes("bytes"))
	if err != nil {
		return err
	}
	var wanted, call vector
	v.into("request", &wanted)
	wanted.into("call", &call)
	call["signature"] = wanted["signature"]
	call["input"] = compact(call["input"])
	fields, err := json.Marshal(call)
	return first(
		err,
		fieldsAre(request, fields),
		same("id", request.ID().String(), v.text("id")),
		same("signed", request.SignedBytes(), v.bytes("signed")),
	)
}

func cardIs(card Card, wanted json.RawMessage) error {
	var claims struct {
		Engine   string `json:"engine"`
		Sentinel struct {
			Owner string `json:"owner"`
			Proof string `json:"proof"`
		} `json:"sentinel"`
	}
	var fields vector
	err := first(json.Unmarshal(wanted, &claims), json.Unmarshal(wanted, &fields))
	if err != nil {
		return err
	}
	delete(fields, "engine")
	delete(fields, "sentinel")
	keys, err := json.Marshal(fields)
	owner, proof := "", ""
	if card.Sentinel != nil {
		owner = hex.EncodeToString(card.Sentinel.Owner[:])
		proof = hex.EncodeToString(card.Sentinel.Proof[:])
	}
	return first(
		err,
		fieldsAre(struct {
			Identity, Channel [32]byte
			Image, Payout     Digest
			Signature         [64]byte
		}{card.Identity, card.Channel, card.Image, card.Payout, card.Signature}, keys),
		same("engine", card.Engine, claims.Engine),
		same("owner", owner, claims.Sentinel.Owner),
		same("proof", proof, claims.Sentinel.Proof),
	)
}

func validRecord(v vector) error {
	record, err := DecodeCreationRecord(v.bytes("bytes"))
	if err != nil {
		return err
	}
	var wanted vector
	v.into("record", &wanted)
	for name, cards := range map[string][]Card{"members": record.Members, "coordinators": record.Coordinators} {
		var list []json.RawMessage
		wanted.into(name, &list)
		if err := same(name, len(cards), len(list)); err != nil {
			return err
		}
		for at, card := range cards {
			if err := cardIs(card, list[at]); err != nil {
				return err
			}
		}
	}
	var demanded struct {
		EngineMembersMin uint16 `json:"engine_members_min"`
		Sentinels        bool   `json:"sentinels"`
	}
	if raw, is := wanted["conditions"]; is {
		if err := json.Unmarshal(raw, &demanded); err != nil {
			return err
		}
	}
	return first(
		same("conditions", record.Conditions, Conditions(demanded)),
		same("sentinel", SentinelStatement(record.Network, &record.Members[0]), v.text("sentinel_signed")),
		same("network", record.Network, wanted.number("network")),
		same("threshold", uint64(record.Threshold), wanted.number("threshold")),
		same("profile", record.Profile.String(), wanted.text("profile")),
		same("created", record.CreatedMS, wanted.number("created_ms")),
		same("salt", record.Salt.String(), wanted.text("salt")),
		same("grants", len(record.Grants), 2),
		same("granted", record.Grants[1].Amount, uint64(200_000_000)),
		same("id", record.ID().String(), v.text("id")),
		same("card", record.Members[0].SignedBytes(), v.bytes("card_signed")),
	)
}
