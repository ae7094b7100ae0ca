package attestation

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
)

// LeavesMax is the most leaves that a step can have.
const LeavesMax = 65536

// TrustedKey is a group key that passed the checks: canonical, not of small order, torsion-free.
// Keep it: the checks take a millisecond. The zero value verifies nothing.
type TrustedKey struct {
	key [32]byte
	id  Digest
}

var keyTexts = map[string]string{
	"NotAPoint":    "group key is not a point of the curve",
	"NotCanonical": "group key is not the canonical encoding of its point",
	"SmallOrder":   "group key is of small order",
	"Torsion":      "group key is not torsion-free",
}

// NewTrustedKey checks a group key.
func NewTrustedKey(key [32]byte) (*TrustedKey, error) {
	if flaw := groupKeyFlaw(key[:]); flaw != "" {
		return nil, refuse(CheckGroupKey, "GroupKey("+flaw+")", "%s", keyTexts[flaw])
	}
	return &TrustedKey{key, KeyID(key)}, nil
}

// Key is the key.
func (k *TrustedKey) Key() [32]byte { return k.key }

// ID is the key's RFC 9679 thumbprint, the `kid` of receipts.
func (k *TrustedKey) ID() Digest { return k.id }

// Verify says whether a signature is the group's strict signature over a message.
func (k *TrustedKey) Verify(message, signature []byte) bool {
	return VerifySignature(k.key[:], message, signature)
}

// Trust is whom an attestation is checked against.
type Trust struct {
	Key *TrustedKey
	// Committee is the committee whose output it should be; nil for any under this key.
	Committee *Digest
}

// ReadCommittee takes group key and committee id from the file that `zq --json committee show`
// makes.
func ReadCommittee(file []byte) (Trust, error) {
	var read struct {
		GroupKey    string `json:"group_key"`
		CommitteeID string `json:"committee_id"`
	}
	if err := json.Unmarshal(file, &read); err != nil {
		return Trust{}, err
	}
	key, keyErr := hex.DecodeString(read.GroupKey)
	id, idErr := hex.DecodeString(read.CommitteeID)
	if keyErr != nil || idErr != nil || len(key) != 32 || len(id) != 32 {
		return Trust{}, errors.New("no committee file: group_key and committee_id are 64 digits each")
	}
	var array [32]byte
	copy(array[:], key)
	trusted, err := NewTrustedKey(array)
	if err != nil {
		return Trust{}, err
	}
	var committee Digest
	copy(committee[:], id)
	return Trust{trusted, &committee}, nil
}

// Verified is what a verified receipt proves.
type Verified struct {
	Commit Commit
	Root   Digest
	// Statement is SHA-256(commit ‖ root): the attestation's id.
	Statement Digest
	Index     uint64
	LeafHash  Digest
	// Leaf is nil if no leaf was given: then only its hash is proven.
	Leaf Leaf
	// Checks are those that were made, in order.
	Checks []Check
}

// VerifyReceipt verifies a receipt, offline. `leaf` are the leaf's exact bytes, or nil to have only
// its hash proven. The error is a *Refused with the first check that fails.
func VerifyReceipt(encoded, leaf []byte, trust Trust) (*Verified, error) {
	if trust.Key == nil {
		return nil, refuse(CheckGroupKey, "GroupKey(Missing)", "no group key")
	}
	r, err := DecodeReceipt(encoded)
	if err != nil {
		return nil, refusedAs(CheckReceipt, "Receipt", err)
	}
	if r.KeyID != trust.Key.id {
		return nil, refuse(CheckKeyID, "KeyId", "receipt names another group key")
	}
	if trust.Committee != nil && *trust.Committee != r.Commit.Committee {
		return nil, refuse(CheckCommittee, "Committee { actual: CommitteeId("+r.Commit.Committee.String()+") }",
			"commit is of committee %s", r.Commit.Committee)
	}
	if r.TreeSize != r.Commit.TreeSize || r.TreeSize < 2 || r.TreeSize > LeavesMax {
		reason := fmt.Sprintf("TreeSize { proof: %d, commit: %d }", r.TreeSize, r.Commit.TreeSize)
		return nil, refuse(CheckTreeSize, reason,
			"proof says %d leaves, commit says %d; 2 to 65536 allowed", r.TreeSize, r.Commit.TreeSize)
	}
	var decoded Leaf
	if leaf != nil {
		if decoded, err = r.checkLeaf(leaf); err != nil {
			return nil, err
		}
	}
	root, fits := RootFromPath(r.LeafHash, r.Index, r.TreeSize, r.Path)
	if !fits {
		reason := fmt.Sprintf("Inclusion { index: %d, tree_size: %d }", r.Index, r.TreeSize)
		return nil, refuse(CheckInclusion, reason,
			"inclusion path does not fit leaf %d of %d", r.Index, r.TreeSize)
	}
	if !trust.Key.Verify(sigStructure(r.Protected, root), r.Signature[:]) {
		return nil, refuse(CheckSignature, "Signature",
			"signature does not verify over the commit and the root of leaf and path")
	}
	return &Verified{
		Commit: r.Commit, Root: root, Statement: r.Commit.Statement(root), Index: r.Index,
		LeafHash: r.LeafHash, Leaf: decoded, Checks: made(leaf != nil, trust.Committee != nil),
	}, nil
}

func (r *Receipt) checkLeaf(encoded []byte) (Leaf, error) {
	if LeafHash(encoded) != r.LeafHash {
		return nil, refuse(CheckLeaf, "OtherLeaf", "leaf is not the one that the receipt is for")
	}
	leaf, err := DecodeLeaf(encoded)
	if err != nil {
		return nil, refusedAs(CheckLeaf, "LeafMalformed", err)
	}
	if leaf.Step() != r.Commit.Seq {
		reason := fmt.Sprintf("Step { leaf: Seq(%d), commit: Seq(%d) }", leaf.Step(), r.Commit.Seq)
		return nil, refuse(CheckPosition, reason,
			"leaf is of step %d, commit of step %d", leaf.Step(), r.Commit.Seq)
	}
	if _, settles := leaf.(*SettlementLeaf); settles != (r.Index == 0) {
		reason := fmt.Sprintf("Kind { index: %d }", r.Index)
		return nil, refuse(CheckPosition, reason,
			"leaf %d is of a kind that may not stand there", r.Index)
	}
	return leaf, nil
}

// refusedAs makes a check's refusal of malformed bytes.
func refusedAs(check Check, name string, err error) error {
	var m *Malformed
	if !errors.As(err, &m) {
		return err
	}
	return refuse(check, name+"("+m.Reason+")", "%s", m)
}

func made(leafGiven, committeeExpected bool) []Check {
	var made []Check
	for _, check := range Checks {
		switch check {
		case CheckCommittee:
			if !committeeExpected {
				continue
			}
		case CheckLeaf, CheckPosition:
			if !leafGiven {
				continue
			}
		}
		made = append(made, check)
	}
	return made
}
