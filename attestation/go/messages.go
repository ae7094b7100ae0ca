package attestation

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
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

// named appends a part whose width is written before it.
func (l *layout) named(part string) {
	l.number(uint64(len(part)))
	l.fixed([]byte(part))
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
	// Engine is what the member's executor runs zApps with, empty where the card does not say.
	Engine string
	// Sentinel stands behind the member; nil where the card names none.
	Sentinel *Sentinel
}

// Sentinel is a Sentinel of the Network of Momentum, with its owner's signature for a member.
type Sentinel struct {
	Owner [32]byte
	Proof [64]byte
}

// Conditions are what a committee demands of its members.
type Conditions struct {
	// EngineMembersMin is the fewest members on each engine, 0 where it does not matter.
	EngineMembersMin uint16
	// Sentinels says whether each member has a Sentinel of its own.
	Sentinels bool
}

// engines are what an executor may run zApps with, and how errors show them.
var engines = [...][2]string{{"wasmtime", "Wasmtime"}, {"wasmi", "Wasmi"}}

// SignedBytes is what the card's identity key signs.
func (c *Card) SignedBytes() []byte {
	l := layout(tagCard[:])
	l.fixed(c.Identity[:], c.Channel[:], c.Image[:], c.Payout[:])
	if c.Engine != "" {
		l.named(c.Engine)
	}
	return l
}

// SentinelStatement is the line of text by which a Sentinel's owner vouches for a member.
func SentinelStatement(network uint64, card *Card) string {
	var fields layout
	fields.number(network)
	fields.fixed(card.Identity[:], card.Channel[:])
	return string(tagSentinel[:]) + hex.EncodeToString(fields)
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
	// Conditions are what is demanded of members.
	Conditions Conditions
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

// DecodeCreationRecord reads a creation record and checks quorum, counts, keys, cards and conditions.
func DecodeCreationRecord(encoded []byte) (*CreationRecord, error) {
	var c CreationRecord
	err := decodeMessage(encoded, recordBytesMax, func(r *reader) {
		left := r.more(9)
		c.Network = r.field("network").uint(math.MaxUint64)
		c.Threshold = uint16(r.field("threshold").uint(math.MaxUint16))
		c.Members = r.field("members").cards()
		c.Coordinators = r.field("coordinators").cards()
		r.field("profile").fixed(c.Profile[:])
		c.CreatedMS = r.field("created_ms").uint(math.MaxUint64)
		r.field("salt").fixed(c.Salt[:])
		c.Terms = r.field("terms").terms()
		c.Grants = r.field("grants").grants()
		if r.optional("evm", &left) {
			c.EVM = r.set()
		}
		if r.optional("conditions", &left) {
			c.Conditions = r.conditions()
		}
		r.none(left)
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
	if flaw := c.conditionsFlaw(); flaw != "" {
		return nil, malformed("Conditions(%s)", flaw)
	}
	return &c, nil
}

// conditions reads what is demanded; what is not demanded is not written.
func (r *reader) conditions() (c Conditions) {
	left := r.more(0)
	if left == 0 {
		r.fail(errNotCanonical)
	}
	if r.optional("engine_members_min", &left) {
		c.EngineMembersMin = uint16(r.uint(math.MaxUint16))
		if c.EngineMembersMin == 0 {
			r.fail(errNotCanonical)
		}
	}
	if r.optional("sentinels", &left) {
		c.Sentinels = r.set()
	}
	r.none(left)
	return c
}

// conditionsFlaw says why conditions of membership, or members under them, are refused.
func (c *CreationRecord) conditionsFlaw() string {
	demanded, members := int(c.Conditions.EngineMembersMin), len(c.Members)
	if blocking := members - int(c.Threshold) + 1; demanded > 0 && demanded < blocking {
		return fmt.Sprintf("EngineDemandTooLow { demanded: %d, blocking: %d }", demanded, blocking)
	}
	if demanded > members/2 {
		return fmt.Sprintf("EngineDemandTooHigh { demanded: %d, members: %d }", demanded, members)
	}
	on, owners := map[string]int{}, map[[32]byte]bool{}
	for at := range c.Members {
		card, slot := &c.Members[at], at+1
		on[card.Engine]++
		switch {
		case demanded > 0 && card.Engine == "":
			return fmt.Sprintf("EngineUnsaid(Slot(%d))", slot)
		case card.Sentinel == nil && c.Conditions.Sentinels:
			return fmt.Sprintf("SentinelMissing(Slot(%d))", slot)
		case card.Sentinel == nil:
			continue
		}
		owner, statement := card.Sentinel.Owner, SentinelStatement(c.Network, card)
		if !VerifySignature(owner[:], []byte(statement), card.Sentinel.Proof[:]) {
			return fmt.Sprintf("SentinelProof(Slot(%d))", slot)
		}
		if owners[owner] && c.Conditions.Sentinels {
			return fmt.Sprintf("SentinelTwice(Slot(%d))", slot)
		}
		owners[owner] = true
	}
	for _, engine := range engines {
		if count := on[engine[0]]; count < demanded {
			return fmt.Sprintf(
				"TooFewOnEngine { engine: %s, members: %d, demanded: %d }", engine[1], count, demanded,
			)
		}
	}
	return ""
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
		left := r.more(5)
		r.field("identity").fixed(c.Identity[:])
		r.field("channel").fixed(c.Channel[:])
		r.field("image").fixed(c.Image[:])
		r.field("payout").fixed(c.Payout[:])
		r.field("signature").fixed(c.Signature[:])
		if r.optional("engine", &left) {
			c.Engine = r.engine()
		}
		if r.optional("sentinel", &left) {
			c.Sentinel = &Sentinel{}
			r.open(2)
			r.field("owner").fixed(c.Sentinel.Owner[:])
			r.field("proof").fixed(c.Sentinel.Proof[:])
		}
		r.none(left)
		cards = append(cards, c)
	}
	return cards
}

func (r *reader) engine() string {
	name := r.text()
	for _, engine := range engines {
		if name == engine[0] {
			return name
		}
	}
	r.fail(errStructure)
	return ""
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
		if at >= len(c.Members) && (card.Engine != "" || card.Sentinel != nil) {
			return malformed("Coordinator(%d)", at)
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
		l.named(evmSuite)
	}
	for at, card := range c.Members {
		if card.Engine != "" {
			l.named("engine")
			l.number(uint64(at))
			l.named(card.Engine)
		}
		if card.Sentinel != nil {
			l.named("sentinel")
			l.number(uint64(at))
			l.fixed(card.Sentinel.Owner[:])
		}
	}
	if c.Conditions.EngineMembersMin > 0 {
		l.named("engines")
		l.number(uint64(c.Conditions.EngineMembersMin))
	}
	if c.Conditions.Sentinels {
		l.named("sentinels")
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
