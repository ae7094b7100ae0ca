package attestation

// Status says how a request ended.
type Status uint8

// How requests end.
const (
	StatusOK Status = iota
	StatusReverted
	StatusTrapped
	StatusOutOfGas
	StatusRefused
	StatusFaulted
)

var statusNames = [...]string{"ok", "reverted", "trapped", "out_of_gas", "refused", "faulted"}

func (s Status) String() string {
	if int(s) < len(statusNames) {
		return statusNames[s]
	}
	return "unknown"
}

// Leaf is an *OutputLeaf, a *SettlementLeaf, a *MessageLeaf, a *KeyChangeLeaf or a *BlockLeaf.
type Leaf interface {
	// Step is the step that the leaf says it belongs to.
	Step() uint64
}

// OutputLeaf is the outcome of one request.
type OutputLeaf struct {
	ZApp    Digest
	Seq     uint64
	Request Digest
	Status  Status
	// Code is the zApp's own for a revert, the reason's number for a refusal.
	Code uint32
	Gas  uint64
	// Output is the SHA-256 of the output bytes.
	Output Digest
	Events Digest
}

// SettlementLeaf is a step's bill, always leaf 0. Fees are in 10⁻⁸ QSR.
type SettlementLeaf struct {
	Seq           uint64
	Epoch         uint64
	Requests      uint32
	Gas           uint64
	Fees          uint64
	RequestsTotal uint64
	GasTotal      uint64
	FeesTotal     uint64
}

// MessageLeaf is an outbound message: what a contract elsewhere is asked to do.
type MessageLeaf struct {
	ZApp Digest
	Seq  uint64
	// Chain is the EIP-155 id of the destination.
	Chain uint64
	// Contract accepts the message and calls Receiver; both are left-padded.
	Contract Digest
	Receiver Digest
	Channel  Digest
	// Number counts a channel's messages from 1.
	Number  uint64
	Gas     uint64
	Payload []byte
}

// KeyChangeLeaf is the end of a group key that contracts trust, and its successor.
type KeyChangeLeaf struct {
	Seq uint64
	// Suite is 1 for FROST(secp256k1, KECCAK-256), 2 for FROST(Ed25519, SHA-512).
	Suite   uint8
	LastSeq uint64
	// Old and New are SEC1 compressed, or a zero byte and an Ed25519 key.
	Old [33]byte
	New [33]byte
}

// BlockLeaf is a block of the committee's NoM account: all that is hashed. The block's hash is
// SHA3-256 of the leaf from byte 42 on.
type BlockLeaf struct {
	Seq uint64
	// Chain is the network's chain identifier.
	Chain uint64
	// BlockType is 2 for a send, 3 for a receive.
	BlockType uint64
	// Previous is the hash of the account's block before, zeros at height 1.
	Previous       Digest
	Height         uint64
	Momentum       Digest
	MomentumHeight uint64
	// Account and To are the core bytes of addresses.
	Account [20]byte
	To      [20]byte
	Amount  [32]byte
	Token   [10]byte
	// Source is the block that a receive takes in.
	Source Digest
	// Data is the SHA3-256 of the data.
	Data        Digest
	FusedPlasma uint64
	Difficulty  uint64
	Nonce       [8]byte
}

// Step is the leaf's seq.
func (l *BlockLeaf) Step() uint64 { return l.Seq }

// Step is the leaf's seq.
func (l *MessageLeaf) Step() uint64 { return l.Seq }

// Step is the leaf's seq.
func (l *KeyChangeLeaf) Step() uint64 { return l.Seq }

// Step is the leaf's seq.
func (l *OutputLeaf) Step() uint64 { return l.Seq }

// Step is the leaf's seq.
func (l *SettlementLeaf) Step() uint64 { return l.Seq }

const (
	leafVersion      = 1
	kindOutput       = 0
	kindSettlement   = 1
	kindMessage      = 2
	kindKeyChange    = 3
	kindBlock        = 4
	outputLength     = 151
	settlementLength = 94
	messageLength    = 162
	payloadBytesMax  = 16 * 1024
	keyChangeLength  = 117
	suiteSecp256k1   = 1
	suiteEd25519     = 2
	blockLength      = 348
	blockVersion     = 1
	blockSend        = 2
	blockReceive     = 3
)

// noDescendants is SHA3-256 of nothing.
var noDescendants = [32]byte{
	0xa7, 0xff, 0xc6, 0xf8, 0xbf, 0x1e, 0xd7, 0x66, 0x51, 0xc1, 0x47, 0x56, 0xa0, 0x61, 0xd6, 0x62,
	0xf5, 0x80, 0xff, 0x4d, 0xe4, 0x3b, 0x49, 0xfa, 0x82, 0xd8, 0x0a, 0x4b, 0x80, 0xf8, 0x43, 0x4a,
}

// DecodeLeaf reads a leaf of any known kind.
func DecodeLeaf(encoded []byte) (Leaf, error) {
	switch {
	case len(encoded) < 1 || encoded[0] != leafVersion:
		return nil, malformed("At { offset: 0 }")
	case len(encoded) > 1 && encoded[1] == kindOutput:
		return decodeOutput(encoded)
	case len(encoded) > 1 && encoded[1] == kindSettlement:
		return decodeSettlement(encoded)
	case len(encoded) > 1 && encoded[1] == kindMessage:
		return decodeMessageLeaf(encoded)
	case len(encoded) > 1 && encoded[1] == kindKeyChange:
		return decodeKeyChange(encoded)
	case len(encoded) > 1 && encoded[1] == kindBlock:
		return decodeBlock(encoded)
	}
	return nil, malformed("At { offset: 1 }")
}

func decodeOutput(encoded []byte) (Leaf, error) {
	f, err := newFields(encoded, outputLength)
	if err != nil {
		return nil, err
	}
	f.take(2)
	var l OutputLeaf
	f.digest(&l.ZApp)
	l.Seq = f.uint64()
	f.digest(&l.Request)
	l.Status = Status(f.take(1)[0])
	if l.Status > StatusFaulted {
		f.wrongAt(f.at - 1)
	}
	l.Code = f.uint32()
	l.Gas = f.uint64()
	f.digest(&l.Output)
	f.digest(&l.Events)
	if f.err != nil {
		return nil, f.err
	}
	return &l, nil
}

func decodeSettlement(encoded []byte) (Leaf, error) {
	f, err := newFields(encoded, settlementLength)
	if err != nil {
		return nil, err
	}
	f.take(2)
	var zapp Digest
	f.digest(&zapp)
	if zapp != (Digest{}) {
		f.wrongAt(2)
	}
	l := SettlementLeaf{
		Seq: f.uint64(), Epoch: f.uint64(), Requests: f.uint32(), Gas: f.uint64(), Fees: f.uint64(),
		RequestsTotal: f.uint64(), GasTotal: f.uint64(), FeesTotal: f.uint64(),
	}
	if f.err != nil {
		return nil, f.err
	}
	return &l, nil
}

func decodeMessageLeaf(encoded []byte) (Leaf, error) {
	length := len(encoded)
	if length < messageLength {
		length = messageLength
	}
	if length > messageLength+payloadBytesMax {
		length = messageLength + payloadBytesMax
	}
	f, err := newFields(encoded, length)
	if err != nil {
		return nil, err
	}
	f.take(2)
	var l MessageLeaf
	f.digest(&l.ZApp)
	l.Seq, l.Chain = f.uint64(), f.uint64()
	f.digest(&l.Contract)
	f.digest(&l.Receiver)
	f.digest(&l.Channel)
	if l.Number = f.uint64(); l.Number == 0 {
		f.wrongAt(f.at - 8)
	}
	l.Gas = f.uint64()
	l.Payload = append([]byte{}, f.take(length-messageLength)...)
	if f.err != nil {
		return nil, f.err
	}
	return &l, nil
}

func decodeKeyChange(encoded []byte) (Leaf, error) {
	f, err := newFields(encoded, keyChangeLength)
	if err != nil {
		return nil, err
	}
	f.take(2)
	var zapp Digest
	f.digest(&zapp)
	if zapp != (Digest{}) {
		f.wrongAt(2)
	}
	var l KeyChangeLeaf
	l.Seq = f.uint64()
	if l.Suite = f.take(1)[0]; l.Suite != suiteSecp256k1 && l.Suite != suiteEd25519 {
		f.wrongAt(f.at - 1)
	}
	l.LastSeq = f.uint64()
	copy(l.Old[:], f.take(33))
	copy(l.New[:], f.take(33))
	if f.err != nil {
		return nil, f.err
	}
	return &l, nil
}

func decodeBlock(encoded []byte) (Leaf, error) {
	f, err := newFields(encoded, blockLength)
	if err != nil {
		return nil, err
	}
	f.take(2)
	var zapp, descendants Digest
	f.digest(&zapp)
	if zapp != (Digest{}) {
		f.wrongAt(2)
	}
	var l BlockLeaf
	l.Seq = f.uint64()
	if f.uint64() != blockVersion {
		f.wrongAt(f.at - 8)
	}
	l.Chain = f.uint64()
	if l.BlockType = f.uint64(); l.BlockType != blockSend && l.BlockType != blockReceive {
		f.wrongAt(f.at - 8)
	}
	f.digest(&l.Previous)
	if l.Height = f.uint64(); l.Height == 0 {
		f.wrongAt(f.at - 8)
	}
	f.digest(&l.Momentum)
	l.MomentumHeight = f.uint64()
	copy(l.Account[:], f.take(20))
	copy(l.To[:], f.take(20))
	copy(l.Amount[:], f.take(32))
	copy(l.Token[:], f.take(10))
	f.digest(&l.Source)
	if f.digest(&descendants); descendants != noDescendants {
		f.wrongAt(f.at - 32)
	}
	f.digest(&l.Data)
	l.FusedPlasma, l.Difficulty = f.uint64(), f.uint64()
	copy(l.Nonce[:], f.take(8))
	if f.err != nil {
		return nil, f.err
	}
	return &l, nil
}
