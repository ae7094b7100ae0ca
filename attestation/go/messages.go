package attestation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"math"
)

const (
	stepBytesMax    = 1024
	recordBytesMax  = 64 * 1024
	priceMax        = 1_000_000_000
	workBitsMax     = 48
	grantsMax       = 64
	supplyMax       = 1 << 62
	methodBytesMax  = 64
	inputBytesMax   = 64 * 1024
	requestBytesMax = inputBytesMax + 1024
	membersMin      = 4
	membersMax      = 150
	coordinatorsMax = 16
)

// StepAttestation is the attestation of a whole step. Nothing in it is verified.
type StepAttestation struct {
	Commit    Commit
	Root      Digest
	Signature [64]byte
}

// decodeMessage reads a message of at most `most` bytes.
func decodeMessage(encoded []byte, most int, read func(*reader)) error {
	if len(encoded) > most {
		return malformed("TooLong { actual: %d, max: %d }", len(encoded), most)
	}
	r := reader{rest: encoded}
	read(&r)
	return r.end()
}

// DecodeStepAttestation reads the attestation of a step.
func DecodeStepAttestation(encoded []byte) (*StepAttestation, error) {
	var s StepAttestation
	err := decodeMessage(encoded, stepBytesMax, func(r *reader) {
		r.open(3)
		commit, err := DecodeCommit(r.field("commit").bytes())
		if err != nil {
			r.fail(errStructure)
		}
		s.Commit = commit
		r.field("root").fixed(s.Root[:])
		r.field("signature").fixed(s.Signature[:])
	})
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// Statement is SHA-256(commit ‖ root): the attestation's id.
func (s *StepAttestation) Statement() Digest { return s.Commit.Statement(s.Root) }

// Verify checks the group's signature over commit and root.
func (s *StepAttestation) Verify(key *TrustedKey) error {
	signed := sigStructure(protectedHeader(s.Commit, key.id), s.Root)
	if !key.Verify(signed, s.Signature[:]) {
		return refuse(CheckSignature, "Signature", "signature does not verify over commit and root")
	}
	return nil
}

// Request is a caller's signed call.
type Request struct {
	Network      uint64
	Committee    Digest
	ZApp         Digest
	Method       string
	Input        []byte
	GasLimit     uint64
	FeePayer     uint8
	Nonce        uint64
	ValidUntilMS uint64
	Caller       [32]byte
	Signature    [64]byte
}

// DecodeRequest reads a request and checks its shape and its caller's signature.
func DecodeRequest(encoded []byte) (*Request, error) {
	var q Request
	err := decodeMessage(encoded, requestBytesMax, func(r *reader) {
		r.open(2)
		r.field("call").open(10)
		q.Network = r.field("network").uint(math.MaxUint64)
		r.field("committee").fixed(q.Committee[:])
		r.field("zapp").fixed(q.ZApp[:])
		q.Method = r.field("method").text()
		q.Input = r.field("input").bytes()
		q.GasLimit = r.field("gas_limit").uint(math.MaxUint64)
		q.FeePayer = uint8(r.field("fee_payer").uint(2))
		q.Nonce = r.field("nonce").uint(math.MaxUint64)
		q.ValidUntilMS = r.field("valid_until_ms").uint(math.MaxUint64)
		r.field("caller").fixed(q.Caller[:])
		r.field("signature").fixed(q.Signature[:])
	})
	switch {
	case err != nil:
		return nil, wrap(err, asMalformed)
	case len(q.Method) < 1 || len(q.Method) > methodBytesMax:
		return nil, malformed("Method(%d)", len(q.Method))
	case len(q.Input) > inputBytesMax:
		return nil, malformed("Input(%d)", len(q.Input))
	}
	if _, flaw := readPoint(q.Caller[:]); flaw != "" {
		return nil, malformed("CallerKey")
	}
	if !VerifySignature(q.Caller[:], q.SignedBytes(), q.Signature[:]) {
		return nil, malformed("Signature")
	}
	return &q, nil
}

func asMalformed(reason string) string { return "Malformed(" + reason + ")" }

// ID is the request's id: SHA-256 of what the caller signs.
func (q *Request) ID() Digest { return sha256.Sum256(q.SignedBytes()) }

// SignedBytes is what the caller's key signs.
func (q *Request) SignedBytes() []byte {
	l := layout(tagRequest[:])
	l.number(q.Network)
	l.fixed(q.Committee[:], q.ZApp[:])
	l.number(uint64(len(q.Method)))
	l.fixed([]byte(q.Method))
	l.number(uint64(len(q.Input)))
	l.fixed(q.Input)
	l.number(q.GasLimit, uint64(q.FeePayer), q.Nonce, q.ValidUntilMS)
	l.fixed(q.Caller[:])
	return l
}

// layout is a signed or hashed layout that grows.
type layout []byte

func (l *layout) number(numbers ...uint64) {
	for _, number := range numbers {
		*l = binary.BigEndian.AppendUint64(*l, number)
	}
}

func (l *layout) fixed(parts ...[]byte) {
	for _, part := range parts {
		*l = append(*l, part...)
	}
}

// Card is a member's or coordinator's public card.
type Card struct {
	Identity  [32]byte
	Channel   [32]byte
	Image     Digest
	Payout    Digest
	Signature [64]byte
}

// SignedBytes is what the card's identity key signs.
func (c *Card) SignedBytes() []byte {
	l := layout(tagCard[:])
	l.fixed(c.Identity[:], c.Channel[:], c.Image[:], c.Payout[:])
	return l
}

// evmSuite is the context string of the suite that EVM contracts verify (RFC 9591 §6).
const evmSuite = "FROST-secp256k1-KECCAK256-v1"

// CreationRecord fixes a committee: its digest is the committee's id.
type CreationRecord struct {
	Network      uint64
	Threshold    uint16
	Members      []Card
	Coordinators []Card
	Profile      Digest
	CreatedMS    uint64
	Salt         Digest
	Terms        Terms
	Grants       []Grant
	// EVM says whether members generate a second group key, for EVM chains.
	EVM bool
}

// Terms are what requests and state cost, in 10⁻⁸ QSR.
type Terms struct {
	GasPrice    uint64
	RequestFee  uint64
	ByteDeposit uint64
	WorkBits    uint8
	WorkGas     uint64
}

// Grant is a balance that an account begins with.
type Grant struct {
	Account Digest
	Amount  uint64
}

// DecodeCreationRecord reads a creation record and checks quorum, counts, keys and cards.
func DecodeCreationRecord(encoded []byte) (*CreationRecord, error) {
	var c CreationRecord
	err := decodeMessage(encoded, recordBytesMax, func(r *reader) {
		fields := r.of(5)
		c.EVM = fields == 10
		if fields != 9 && !c.EVM {
			r.fail(errStructure)
		}
		c.Network = r.field("network").uint(math.MaxUint64)
		c.Threshold = uint16(r.field("threshold").uint(math.MaxUint16))
		c.Members = r.field("members").cards()
		c.Coordinators = r.field("coordinators").cards()
		r.field("profile").fixed(c.Profile[:])
		c.CreatedMS = r.field("created_ms").uint(math.MaxUint64)
		r.field("salt").fixed(c.Salt[:])
		c.Terms = r.field("terms").terms()
		c.Grants = r.field("grants").grants()
		// Written only where it is set.
		if c.EVM && !r.field("evm").boolean() {
			r.fail(errNotCanonical)
		}
	})
	if err != nil {
		return nil, wrap(err, asMalformed)
	}
	if flaw := quorumFlaw(len(c.Members), int(c.Threshold)); flaw != "" {
		return nil, malformed("Quorum(%s)", flaw)
	}
	if n := len(c.Coordinators); n < 1 || n > coordinatorsMax {
		return nil, malformed("Coordinators(%d)", n)
	}
	if flaw := c.termsFlaw(); flaw != "" {
		return nil, malformed("Terms(%s)", flaw)
	}
	if err := c.checkCards(); err != nil {
		return nil, err
	}
	return &c, nil
}

func (r *reader) terms() (t Terms) {
	r.open(5)
	t.GasPrice = r.field("gas_price").uint(math.MaxUint64)
	t.RequestFee = r.field("request_fee").uint(math.MaxUint64)
	t.ByteDeposit = r.field("byte_deposit").uint(math.MaxUint64)
	t.WorkBits = uint8(r.field("work_bits").uint(math.MaxUint8))
	t.WorkGas = r.field("work_gas").uint(math.MaxUint64)
	return t
}

func (r *reader) grants() []Grant {
	var grants []Grant
	for count := r.of(4); count > 0 && r.err == nil; count-- {
		var g Grant
		r.open(2)
		r.field("account").fixed(g.Account[:])
		g.Amount = r.field("amount").uint(math.MaxUint64)
		grants = append(grants, g)
	}
	return grants
}

// termsFlaw says why terms or grants are refused.
func (c *CreationRecord) termsFlaw() string {
	for _, price := range []uint64{c.Terms.GasPrice, c.Terms.RequestFee, c.Terms.ByteDeposit} {
		if price > priceMax {
			return fmt.Sprintf("Price(%d)", price)
		}
	}
	if c.Terms.WorkBits > workBitsMax {
		return fmt.Sprintf("Work(%d)", c.Terms.WorkBits)
	}
	if len(c.Grants) > grantsMax {
		return fmt.Sprintf("Grants(%d)", len(c.Grants))
	}
	var supply uint64
	for at, g := range c.Grants {
		rises := at == 0 || bytes.Compare(c.Grants[at-1].Account[:], g.Account[:]) < 0
		if g.Amount == 0 || !rises {
			return fmt.Sprintf("Grant(%d)", at)
		}
		if supply += g.Amount; supply < g.Amount {
			supply = math.MaxUint64
		}
	}
	if supply > supplyMax {
		return "Supply"
	}
	return ""
}

func (r *reader) cards() []Card {
	var cards []Card
	for count := r.of(4); count > 0 && r.err == nil; count-- {
		var c Card
		r.open(5)
		r.field("identity").fixed(c.Identity[:])
		r.field("channel").fixed(c.Channel[:])
		r.field("image").fixed(c.Image[:])
		r.field("payout").fixed(c.Payout[:])
		r.field("signature").fixed(c.Signature[:])
		cards = append(cards, c)
	}
	return cards
}

func (c *CreationRecord) checkCards() error {
	seen := map[[32]byte]bool{}
	for at, card := range c.cards() {
		for _, key := range [][32]byte{card.Identity, card.Channel} {
			if seen[key] {
				return malformed("DuplicateKey")
			}
			seen[key] = true
		}
		if !VerifySignature(card.Identity[:], card.SignedBytes(), card.Signature[:]) {
			return malformed("Card(%d)", at)
		}
	}
	return nil
}

func (c *CreationRecord) cards() []Card {
	return append(append([]Card{}, c.Members...), c.Coordinators...)
}

// ID is the committee's id.
func (c *CreationRecord) ID() Digest {
	l := layout(tagCommittee[:])
	l.number(c.Network, uint64(c.Threshold), uint64(len(c.Members)), uint64(len(c.Coordinators)))
	for _, card := range c.cards() {
		l.fixed(card.Identity[:], card.Channel[:], card.Image[:], card.Payout[:])
	}
	l.fixed(c.Profile[:])
	l.number(c.CreatedMS)
	l.fixed(c.Salt[:])
	l.number(c.Terms.GasPrice, c.Terms.RequestFee, c.Terms.ByteDeposit, uint64(c.Terms.WorkBits), c.Terms.WorkGas)
	l.number(uint64(len(c.Grants)))
	for _, g := range c.Grants {
		l.fixed(g.Account[:])
		l.number(g.Amount)
	}
	if c.EVM {
		l.number(uint64(len(evmSuite)))
		l.fixed([]byte(evmSuite))
	}
	return sha256.Sum256(l)
}

// quorumFlaw says why members and threshold are refused (rule A15).
func quorumFlaw(members, threshold int) string {
	pair := fmt.Sprintf("{ members: %d, threshold: %d }", members, threshold)
	switch {
	case members < membersMin || members > membersMax:
		return fmt.Sprintf("Members(%d)", members)
	case threshold > members:
		return "Unreachable " + pair
	case 2*threshold <= members+(members-1)/3:
		return "Unsafe " + pair
	}
	return ""
}
