package attestation

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
)

// FuzzVerify looks for a receipt that is accepted and is none of the golden ones, or for a panic.
// `go test` runs it over the vectors alone; `go test -fuzz FuzzVerify` goes on from them.
func FuzzVerify(f *testing.F) {
	text, err := os.ReadFile("../vectors/receipt.json")
	if err != nil {
		f.Fatal(err)
	}
	var file struct {
		Valid, Invalid, Malformed []vector
	}
	if err := json.Unmarshal(text, &file); err != nil {
		f.Fatal(err)
	}
	golden := map[string]bool{}
	for _, entry := range file.Valid {
		golden[entry.text("receipt")] = true
		f.Add(entry.bytes("receipt"), unhex(entry.optional("leaf")))
	}
	for _, entry := range file.Invalid {
		switch Check(entry.text("check")) {
		case CheckGroupKey, CheckKeyID, CheckCommittee, CheckLeaf, CheckPosition:
			// The receipt is good; what was given with it is not.
			golden[entry.text("receipt")] = true
		}
		f.Add(entry.bytes("receipt"), unhex(entry.optional("leaf")))
	}
	for _, entry := range file.Malformed {
		f.Add(entry.bytes("bytes"), []byte{})
	}
	key, err := file.Valid[0].key()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, receipt, leaf []byte) {
		for _, given := range [][]byte{nil, leaf} {
			verified, err := VerifyReceipt(receipt, given, Trust{Key: key})
			if err == nil && !golden[hex.EncodeToString(receipt)] {
				t.Fatalf("accepted %x as leaf %d", receipt, verified.Index)
			}
		}
	})
}
