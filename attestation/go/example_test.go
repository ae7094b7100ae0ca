package attestation_test

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"

	attestation "zquorum/attestation"
)

// A committee file, an attestation and its leaf are files of a run: see the repository's README.
// Here they come from a golden vector.
func ExampleVerifyReceipt() {
	committee, receipt, leaf := filesOfARun()
	trust, err := attestation.ReadCommittee(committee)
	if err != nil {
		panic(err)
	}
	verified, err := attestation.VerifyReceipt(receipt, leaf, trust)
	if err != nil {
		panic(err)
	}
	fmt.Println("step", verified.Commit.Seq, "leaf", verified.Index, verified.Checks)

	leaf[100] ^= 1
	_, err = attestation.VerifyReceipt(receipt, leaf, trust)
	fmt.Println(err)
	// Output:
	// step 1 leaf 1 [group-key receipt key-id committee tree-size leaf position inclusion signature]
	// leaf: leaf is not the one that the receipt is for
}

func filesOfARun() (committee, receipt, leaf []byte) {
	text, err := os.ReadFile("../vectors/receipt.json")
	if err != nil {
		panic(err)
	}
	var file struct {
		Valid []struct {
			GroupKey  string `json:"group_key"`
			Committee string
			Receipt   string
			Leaf      string
		}
	}
	if err := json.Unmarshal(text, &file); err != nil {
		panic(err)
	}
	output := file.Valid[1]
	committee, _ = json.Marshal(map[string]string{
		"group_key": output.GroupKey, "committee_id": output.Committee,
	})
	receipt, _ = hex.DecodeString(output.Receipt)
	leaf, _ = hex.DecodeString(output.Leaf)
	return committee, receipt, leaf
}
