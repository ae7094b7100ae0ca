package attestation

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
)

func golden(t *testing.T) vector {
	text, err := os.ReadFile("../vectors/receipt.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Valid []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Valid[0]
}

func TestOneFlippedBitInAnyByteOfAReceiptOrItsLeafIsRefused(t *testing.T) {
	good := golden(t)
	key, err := good.key()
	if err != nil {
		t.Fatal(err)
	}
	committee := good.digest("committee")
	receipt, leaf := good.bytes("receipt"), good.bytes("leaf")
	accepts := func(receipt, leaf []byte) bool {
		_, err := VerifyReceipt(receipt, leaf, Trust{key, &committee})
		if _, refused := err.(*Refused); err != nil && !refused {
			t.Fatalf("no *Refused: %v", err)
		}
		return err == nil
	}
	if !accepts(receipt, leaf) {
		t.Fatal("the golden receipt is refused")
	}
	for _, bytes := range [][]byte{receipt, leaf} {
		for at := range bytes {
			bytes[at] ^= 1 << (at % 8)
			if accepts(receipt, leaf) {
				t.Errorf("byte %d", at)
			}
			bytes[at] ^= 1 << (at % 8)
		}
	}
	if accepts(receipt, []byte{}) {
		t.Error("an empty leaf is no leaf")
	}
}

func TestWithoutACheckedKeyNothingIsAccepted(t *testing.T) {
	good := golden(t)
	for _, key := range []*TrustedKey{nil, {}} {
		if _, err := VerifyReceipt(good.bytes("receipt"), good.bytes("leaf"), Trust{Key: key}); err == nil {
			t.Errorf("accepted under %v", key)
		}
	}
	// The zero key's id in the receipt: the signature check is all that is left.
	step := StepAttestation{}
	if err := step.Verify(&TrustedKey{}); err == nil {
		t.Error("accepted under the zero key")
	}
}

func TestACommitteeFileNamesKeyAndCommittee(t *testing.T) {
	good := golden(t)
	file := `{"committee_id":"` + good.text("committee") + `","group_key":"` + good.text("group_key") + `"}`
	trust, err := ReadCommittee([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := VerifyReceipt(good.bytes("receipt"), good.bytes("leaf"), trust); err != nil {
		t.Fatal(err)
	}
	for _, bad := range []string{
		"", "{}", "[]",
		strings.Replace(file, "committee_id", "id", 1),
		strings.Replace(file, good.text("group_key"), strings.Repeat("00", 32), 1),
		strings.Replace(file, good.text("group_key"), "00", 1),
	} {
		if _, err := ReadCommittee([]byte(bad)); err == nil {
			t.Errorf("accepted %q", bad)
		}
	}
}
