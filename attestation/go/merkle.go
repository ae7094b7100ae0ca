package attestation

import (
	"crypto/sha256"
	"math/bits"
)

// RFC 9162 §2.1 Merkle trees over SHA-256.

// LeafHash is SHA-256(0x00 ‖ entry).
func LeafHash(entry []byte) Digest {
	return sha256.Sum256(append([]byte{0}, entry...))
}

func nodeHash(left, right Digest) Digest {
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// MerkleRoot is the root over entries in order; SHA-256 of nothing for no entries.
func MerkleRoot(entries [][]byte) Digest {
	switch len(entries) {
	case 0:
		return sha256.Sum256(nil)
	case 1:
		return LeafHash(entries[0])
	}
	at := split(len(entries))
	return nodeHash(MerkleRoot(entries[:at]), MerkleRoot(entries[at:]))
}

// MerklePath is the inclusion path of an entry, from the leaf up; false if there is no such entry.
func MerklePath(entries [][]byte, index int) ([]Digest, bool) {
	if index < 0 || index >= len(entries) {
		return nil, false
	}
	var path []Digest
	for len(entries) > 1 {
		at := split(len(entries))
		if index < at {
			path = append(path, MerkleRoot(entries[at:]))
			entries = entries[:at]
		} else {
			path = append(path, MerkleRoot(entries[:at]))
			entries, index = entries[at:], index-at
		}
	}
	for low, high := 0, len(path)-1; low < high; low, high = low+1, high-1 {
		path[low], path[high] = path[high], path[low]
	}
	return path, true
}

// split is the largest power of two below a length of 2 and more.
func split(length int) int { return 1 << (bits.Len(uint(length-1)) - 1) }

// RootFromPath is the root that a path leads to from the leaf hash of entry `index` of `size`
// (RFC 9162 §2.1.3.2); false if index or path do not fit the size.
func RootFromPath(leaf Digest, index, size uint64, path []Digest) (Digest, bool) {
	if index >= size {
		return Digest{}, false
	}
	node, last, hash := index, size-1, leaf
	for _, sibling := range path {
		if last == 0 {
			return Digest{}, false
		}
		if node&1 == 1 || node == last {
			hash = nodeHash(sibling, hash)
			for node&1 == 0 && node != 0 {
				node, last = node>>1, last>>1
			}
		} else {
			hash = nodeHash(hash, sibling)
		}
		node, last = node>>1, last>>1
	}
	return hash, last == 0
}
