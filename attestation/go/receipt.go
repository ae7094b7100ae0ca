package attestation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
)

// Bounds and names of the receipt's profile.
const (
	ReceiptBytesMax = 4096
	PathMax         = 16
	ContentType     = "application/vnd.zquorum.step+cose"
)

// COSE labels and values (RFC 9052, RFC 9942); a negative n stands for −1 − n.
const (
	tagCoseSign1 = 18

	labelAlgorithm = uint64(1)
	labelKeyID     = uint64(4)
	labelClaims    = uint64(15)
	labelType      = uint64(16)
	labelVDS       = uint64(395)
	labelCommit    = negative(70_000)
	labelProofs    = uint64(396)
	labelLeafHash  = negative(70_001)

	algorithmEdDSA   = negative(7)
	algorithmEd25519 = negative(18)

	claimIssuer  = uint64(1)
	claimSubject = uint64(2)
	vdsRFC9162   = uint64(1)
	inclusion    = negative(0)
)

// Receipt is a decoded receipt. Nothing in it is verified.
type Receipt struct {
	// Algorithm is −8 or −19; both mean Ed25519.
	Algorithm int
	KeyID     Digest
	Commit    Commit
	LeafHash  Digest
	TreeSize  uint64
	Index     uint64
	Path      []Digest
	Signature [64]byte
	// Protected is the protected header as it is signed.
	Protected []byte
}

// KeyID is the RFC 9679 thumbprint of a group key: SHA-256 of the COSE_Key {1: 1, -1: 6, -2: key}.
func KeyID(key [32]byte) Digest {
	head := []byte{0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20}
	return sha256.Sum256(append(head, key[:]...))
}

// DecodeReceipt reads a receipt: every header, each in its one encoding and in its place.
func DecodeReceipt(encoded []byte) (*Receipt, error) {
	if len(encoded) > ReceiptBytesMax {
		return nil, malformed("TooLong { actual: %d }", len(encoded))
	}
	cose, err := decodeCOSE(encoded)
	if err != nil {
		return nil, err
	}
	if cose.payload != nil {
		return nil, malformed("Payload")
	}
	r := &Receipt{Protected: cose.protected}
	if err := r.readProtected(cose.header); err != nil {
		return nil, err
	}
	if !fixed(cose.unprotected.find(labelLeafHash), r.LeafHash[:]) {
		return nil, malformed("LeafHash")
	}
	if err := r.readProof(cose.unprotected.find(labelProofs)); err != nil {
		return nil, err
	}
	if !fixed(cose.signature, r.Signature[:]) {
		return nil, malformed("Signature")
	}
	if !labelled(cose.header, labelAlgorithm, labelKeyID, labelClaims, labelType, labelVDS, labelCommit) ||
		!labelled(cose.unprotected, labelProofs, labelLeafHash) {
		return nil, errNotCanonical
	}
	return r, nil
}

// cose is a tagged COSE_Sign1 (RFC 9052 §4.2), its protected header decoded.
type cose struct {
	protected   []byte
	header      pairs
	unprotected pairs
	payload     any
	signature   any
}

func decodeCOSE(encoded []byte) (*cose, error) {
	asCOSE := func(reason string) string {
		if reason == errStructure.Reason {
			return "Cose"
		}
		return reason
	}
	outer, err := decodeItem(encoded)
	if err != nil {
		return nil, wrap(err, asCOSE)
	}
	sign1, _ := outer.(tagged)
	parts, _ := sign1.value.([]any)
	if sign1.tag != tagCoseSign1 || len(parts) != 4 {
		return nil, malformed("Cose")
	}
	protected, isString := parts[0].([]byte)
	unprotected, isMap := parts[1].(pairs)
	signature, isSignature := parts[3].([]byte)
	if !isString || !isMap || !isSignature {
		return nil, malformed("Cose")
	}
	inner, err := decodeItem(protected)
	if err != nil {
		return nil, wrap(err, asCOSE)
	}
	header, isMap := inner.(pairs)
	if !isMap {
		return nil, malformed("Cose")
	}
	return &cose{protected, header, unprotected, parts[2], signature}, nil
}

func (r *Receipt) readProtected(header pairs) error {
	switch header.find(labelAlgorithm) {
	case algorithmEdDSA:
		r.Algorithm = -8
	case algorithmEd25519:
		r.Algorithm = -19
	default:
		return malformed("Algorithm")
	}
	if !fixed(header.find(labelKeyID), r.KeyID[:]) {
		return malformed("KeyId")
	}
	if header.find(labelType) != ContentType {
		return malformed("ContentType")
	}
	if header.find(labelVDS) != vdsRFC9162 {
		return malformed("DataStructure")
	}
	encoded, isString := header.find(labelCommit).([]byte)
	if !isString {
		return malformed("Commit(Structure)")
	}
	var err error
	if r.Commit, err = DecodeCommit(encoded); err != nil {
		return wrap(err, func(reason string) string { return "Commit(" + reason + ")" })
	}
	claims, _ := header.find(labelClaims).(pairs)
	issuer, subject := r.Commit.claims()
	if !labelled(claims, claimIssuer, claimSubject) ||
		claims.find(claimIssuer) != issuer || claims.find(claimSubject) != subject {
		return malformed("Claims")
	}
	return nil
}

// readProof takes one inclusion proof: [tree size, index, path] in a byte string.
func (r *Receipt) readProof(proofs any) error {
	kinds, _ := proofs.(pairs)
	list, _ := kinds.find(inclusion).([]any)
	if len(kinds) != 1 || len(list) != 1 {
		return malformed("Proof")
	}
	encoded, isString := list[0].([]byte)
	if !isString {
		return malformed("Proof")
	}
	inner, err := decodeItem(encoded)
	if err != nil {
		return wrap(err, func(reason string) string {
			if reason == errStructure.Reason {
				return "Proof"
			}
			return reason
		})
	}
	proof, _ := inner.([]any)
	if len(proof) != 3 {
		return malformed("Proof")
	}
	size, isSize := proof[0].(uint64)
	index, isIndex := proof[1].(uint64)
	path, _ := proof[2].([]any)
	if !isSize || !isIndex || len(path) < 1 || len(path) > PathMax {
		return malformed("Proof")
	}
	r.TreeSize, r.Index, r.Path = size, index, make([]Digest, len(path))
	for at, hash := range path {
		if !fixed(hash, r.Path[at][:]) {
			return malformed("Proof")
		}
	}
	return nil
}

// fixed copies a byte string that has the width of `to`.
func fixed(item any, to []byte) bool {
	found, isString := item.([]byte)
	return isString && len(found) == len(to) && copy(to, found) == len(to)
}

// labelled says whether a map has these labels in this order and no others.
func labelled(found pairs, labels ...any) bool {
	if len(found) != len(labels) {
		return false
	}
	for at, label := range labels {
		if found[at].key != label {
			return false
		}
	}
	return true
}

// claims are `iss` and `sub`: URIs of one length.
func (c Commit) claims() (issuer, subject string) {
	return fmt.Sprintf("zq:%016x:%s", c.Network, c.Committee), fmt.Sprintf("zq:step:%016x", c.Seq)
}

// protectedHeader is the protected header of a commit under a group key: what the attestation of a
// step leaves out.
func protectedHeader(c Commit, id Digest) []byte {
	issuer, subject := c.claims()
	var out bytes.Buffer
	out.Write([]byte{0xa6, 0x01, 0x27, 0x04, 0x58, 0x20})
	out.Write(id[:])
	out.Write([]byte{0x0f, 0xa2, 0x01, 0x78, byte(len(issuer))})
	out.WriteString(issuer)
	out.Write([]byte{0x02, 0x78, byte(len(subject))})
	out.WriteString(subject)
	out.Write([]byte{0x10, 0x78, byte(len(ContentType))})
	out.WriteString(ContentType)
	out.Write([]byte{0x19, 0x01, 0x8b, 0x01, 0x3a, 0x00, 0x01, 0x11, 0x70})
	out.Write(stringHead(CommitLength))
	out.Write(c.Bytes())
	return out.Bytes()
}

// sigStructure is what the group signs (RFC 9052 §4.4), over protected header and root.
func sigStructure(protected []byte, root Digest) []byte {
	out := append([]byte{0x84, 0x6a}, "Signature1"...)
	out = append(out, stringHead(len(protected))...)
	out = append(out, protected...)
	out = append(out, 0x40)
	out = append(out, stringHead(len(root))...)
	return append(out, root[:]...)
}

// stringHead is the head of a byte string of 24 to 65,535 bytes.
func stringHead(length int) []byte {
	if length < 256 {
		return []byte{0x58, byte(length)}
	}
	return binary.BigEndian.AppendUint16([]byte{0x59}, uint16(length))
}
