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

// Leaf is an *OutputLeaf, a *SettlementLeaf, a *MessageLeaf or a *KeyChangeLeaf.
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

// KeyChangeLeaf is the end of a group key of another suite, and its successor.
type KeyChangeLeaf struct {
	Seq uint64
	// Suite is 1 for FROST(secp256k1, KECCAK-256).
	Suite   uint8
	LastSeq uint64
	// Old and New are SEC1 compressed.
	Old [33]byte
	New [33]byte
}

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
	outputLength     = 151
	settlementLength = 94
	messageLength    = 162
	payloadBytesMax  = 16 * 1024
	keyChangeLength  = 117
	suiteSecp256k1   = 1
)

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
	if l.Suite = f.take(1)[0]; l.Suite != suiteSecp256k1 {
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
