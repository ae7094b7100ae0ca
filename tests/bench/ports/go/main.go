// Command bench shows what the verifier in Go takes, beside crypto/ed25519 and transparency-dev's
// Merkle proofs.
package main

import (
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"sort"
	"time"

	"github.com/transparency-dev/merkle/proof"
	"github.com/transparency-dev/merkle/rfc6962"

	"zquorum/attestation"
)

const (
	rounds       = 15
	merkleLeaves = 1000
	merkleIndex  = 501
)

type one struct {
	name  string
	count int
	run   func() bool
	seen  []float64
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: bench RECEIPT.json")
		os.Exit(2)
	}
	text, err := os.ReadFile(os.Args[1])
	must(err)
	var file struct {
		SignedBytes int `json:"signed_bytes"`
		Valid       []struct {
			Receipt  string
			Leaf     string
			GroupKey string `json:"group_key"`
		}
	}
	must(json.Unmarshal(text, &file))
	example := file.Valid[0]
	receipt, leaf := unhex(example.Receipt), unhex(example.Leaf)
	key, err := attestation.NewTrustedKey([32]byte(unhex(example.GroupKey)))
	must(err)

	// As long as what a receipt's signature is over.
	message := make([]byte, file.SignedBytes)
	public, private, err := ed25519.GenerateKey(nil)
	must(err)
	signature := ed25519.Sign(private, message)

	entries := make([][]byte, merkleLeaves)
	for at := range entries {
		entries[at] = make([]byte, 256)
		entries[at][0] = byte(at)
	}
	root := attestation.MerkleRoot(entries)
	path, _ := attestation.MerklePath(entries, merkleIndex)
	hash := attestation.LeafHash(entries[merkleIndex])
	var theirs [][]byte
	for _, sibling := range path {
		theirs = append(theirs, append([]byte{}, sibling[:]...))
	}

	cases := []*one{
		{name: "receipt, all checks: zquorum", count: 200, run: func() bool {
			_, err := attestation.VerifyReceipt(receipt, leaf, attestation.Trust{Key: key})
			return err == nil
		}},
		{name: "signature, strict: zquorum", count: 200, run: func() bool {
			return attestation.VerifySignature(public, message, signature)
		}},
		{name: "signature: crypto/ed25519", count: 200, run: func() bool {
			return ed25519.Verify(public, message, signature)
		}},
		{name: "inclusion in 1,000: zquorum", count: 2000, run: func() bool {
			found, ok := attestation.RootFromPath(hash, merkleIndex, merkleLeaves, path)
			return ok && found == root
		}},
		{name: "inclusion in 1,000: transparency-dev/merkle", count: 2000, run: func() bool {
			return proof.VerifyInclusion(rfc6962.DefaultHasher, merkleIndex, merkleLeaves, hash[:], theirs, root[:]) == nil
		}},
	}
	for range rounds {
		for _, measured := range cases {
			start := time.Now()
			for range measured.count {
				if !measured.run() {
					fmt.Fprintln(os.Stderr, measured.name+": refused")
					os.Exit(1)
				}
			}
			took := float64(time.Since(start).Nanoseconds()) / 1000 / float64(measured.count)
			measured.seen = append(measured.seen, took)
		}
	}
	fmt.Printf("go %s: receipt %d B, leaf %d B, path in 1,000 %d B\n",
		runtime.Version(), len(receipt), len(leaf), 32*len(path))
	for _, measured := range cases {
		sort.Float64s(measured.seen)
		fmt.Printf("go %s: %.1f µs\n", measured.name, measured.seen[rounds/2])
	}
}

func unhex(text string) []byte {
	bytes, err := hex.DecodeString(text)
	must(err)
	return bytes
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
