// Package attestation verifies what committees of zquorum attest: COSE receipts with their leaves
// and inclusion proofs, and the attestations of whole steps. It works offline, with the standard
// library alone.
//
// A value has one encoding and everything else is refused, as the Rust crate of the same name
// does; the golden vectors beside both say so case by case. Nothing here is secret, so nothing
// takes constant time.
package attestation

import "fmt"

// Malformed says why bytes or text are not a value of their format.
type Malformed struct {
	// Reason is the refusal's name in the golden vectors.
	Reason string
}

func (m *Malformed) Error() string { return "malformed: " + m.Reason }

func malformed(format string, values ...any) error {
	return &Malformed{fmt.Sprintf(format, values...)}
}

// Two refusals of CBOR: no such structure, and a second encoding of a value.
var (
	errStructure    = &Malformed{"Structure"}
	errNotCanonical = &Malformed{"NotCanonical"}
)

// wrap renames what is malformed; other errors, and nil, stay.
func wrap(err error, name func(reason string) string) error {
	if m, is := err.(*Malformed); is {
		return &Malformed{name(m.Reason)}
	}
	return err
}

// Check is one check of a verification.
type Check string

// All checks, in the order in which they are made.
const (
	CheckGroupKey  Check = "group-key"
	CheckReceipt   Check = "receipt"
	CheckKeyID     Check = "key-id"
	CheckCommittee Check = "committee"
	CheckTreeSize  Check = "tree-size"
	CheckLeaf      Check = "leaf"
	CheckPosition  Check = "position"
	CheckInclusion Check = "inclusion"
	CheckSignature Check = "signature"
)

// Checks lists all checks in order.
var Checks = []Check{
	CheckGroupKey, CheckReceipt, CheckKeyID, CheckCommittee, CheckTreeSize, CheckLeaf,
	CheckPosition, CheckInclusion, CheckSignature,
}

// Refused says which check did not pass.
type Refused struct {
	Check Check
	// Reason is the refusal's name in the golden vectors.
	Reason string
	// Text is for people.
	Text string
}

func (r *Refused) Error() string { return string(r.Check) + ": " + r.Text }

func refuse(check Check, reason, text string, values ...any) error {
	return &Refused{check, reason, fmt.Sprintf(text, values...)}
}
