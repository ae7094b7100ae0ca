package attestation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// Digest is 32 bytes: an id, a root or a hash.
type Digest [32]byte

// String is lower-case hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// CommitLength is the length of a commit in bytes.
const CommitLength = 345

// Commit says what a step did.
type Commit struct {
	Network       uint64
	Committee     Digest
	Epoch         uint64
	Seq           uint64
	TreeSize      uint64
	PreviousState Digest
	State         Digest
	Profile       Digest
	Previous      Digest
	AnchorHeight  uint64
	Anchor        Digest
	TimeMS        uint64
	GasUsed       uint64
	Inputs        Digest
	Trace         Digest
}

// DecodeCommit reads a commit: sixteen byte strings of 8 or 32 bytes in a CBOR array, each at a
// constant offset.
func DecodeCommit(encoded []byte) (Commit, error) {
	f, err := newFields(encoded, CommitLength)
	if err != nil {
		return Commit{}, err
	}
	f.expect(0x90)
	f.expect(0x48)
	f.expect(tagCommit[:]...)
	var c Commit
	for _, at := range c.layout() {
		switch at := at.(type) {
		case *uint64:
			f.expect(0x48)
			*at = f.uint64()
		case *Digest:
			f.expect(0x58, 0x20)
			f.digest(at)
		}
	}
	if f.err != nil {
		return Commit{}, f.err
	}
	return c, nil
}

// Bytes is the commit's encoding.
func (c Commit) Bytes() []byte {
	out := append([]byte{0x90, 0x48}, tagCommit[:]...)
	for _, at := range c.layout() {
		switch at := at.(type) {
		case *uint64:
			out = binary.BigEndian.AppendUint64(append(out, 0x48), *at)
		case *Digest:
			out = append(append(out, 0x58, 0x20), at[:]...)
		}
	}
	return out
}

// Statement is SHA-256(commit ‖ root): what members vote for, and the attestation's id.
func (c Commit) Statement(root Digest) Digest {
	return sha256.Sum256(append(c.Bytes(), root[:]...))
}

// layout is every field behind the magic, in order.
func (c *Commit) layout() []any {
	return []any{
		&c.Network, &c.Committee, &c.Epoch, &c.Seq, &c.TreeSize, &c.PreviousState, &c.State,
		&c.Profile, &c.Previous, &c.AnchorHeight, &c.Anchor, &c.TimeMS, &c.GasUsed, &c.Inputs,
		&c.Trace,
	}
}

// fields reads a fixed-offset layout. After the first error it gives zeros and keeps the error.
type fields struct {
	bytes []byte
	at    int
	err   error
}

func newFields(encoded []byte, length int) (*fields, error) {
	if len(encoded) != length {
		return nil, malformed("Length { actual: %d, expected: %d }", len(encoded), length)
	}
	return &fields{bytes: encoded}, nil
}

// wrongAt keeps the first error.
func (f *fields) wrongAt(offset int) {
	if f.err == nil {
		f.err = malformed("At { offset: %d }", offset)
	}
}

func (f *fields) expect(head ...byte) {
	if !bytes.HasPrefix(f.bytes[f.at:], head) {
		f.wrongAt(f.at)
	}
	f.at += len(head)
}

func (f *fields) take(width int) []byte {
	f.at += width
	return f.bytes[f.at-width : f.at]
}

func (f *fields) uint32() uint32 { return binary.BigEndian.Uint32(f.take(4)) }

func (f *fields) uint64() uint64 { return binary.BigEndian.Uint64(f.take(8)) }

func (f *fields) digest(to *Digest) { copy(to[:], f.take(32)) }

// Domain tags of the formats that are read here.
var (
	tagCard      = [8]byte{'Z', 'Q', 'C', 'A', 'R', 'D', '1'}
	tagCommit    = [8]byte{'Z', 'Q', 'S', 'T', 'E', 'P', '1'}
	tagCommittee = [8]byte{'Z', 'Q', 'C', 'O', 'M', 'M', '1'}
	tagRequest   = [8]byte{'Z', 'Q', 'R', 'Q', 'S', 'T', '1'}
	// Of a line of text, which a wallet signs.
	tagSentinel = [8]byte{'Z', 'Q', 'S', 'N', 'T', 'L', '1', ':'}
)
