package attestation

import (
	"encoding/binary"
	"math/bits"
	"strings"
)

// Address is a NoM address: a kind byte, 0 for accounts with a key, and 19 bytes.
type Address [20]byte

const (
	addressPrefix = "z"
	bech32        = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
)

// AddressOfKey is the address of an Ed25519 key: 0x00 ‖ SHA3-256(key)[0..19].
func AddressOfKey(key [32]byte) Address {
	digest := sha3(key[:])
	var a Address
	copy(a[1:], digest[:])
	return a
}

// String is the address's one text: bech32 in lower case.
func (a Address) String() string {
	data := regroup(a[:], 8, 5)
	residue := checksum(append(append(expanded(), data...), make([]byte, 6)...)) ^ 1
	for shift := 25; shift >= 0; shift -= 5 {
		data = append(data, byte(residue>>shift)&31)
	}
	var text strings.Builder
	text.WriteString(addressPrefix + "1")
	for _, value := range data {
		text.WriteByte(bech32[value])
	}
	return text.String()
}

// ParseAddress reads an address; the text must be the one that the address has.
func ParseAddress(text string) (Address, error) {
	data := make([]byte, 0, len(text))
	body := strings.TrimPrefix(text, addressPrefix+"1")
	for at := 0; at < len(body); at++ {
		value := strings.IndexByte(bech32, body[at])
		if value < 0 {
			return Address{}, malformed("ParseAddressError")
		}
		data = append(data, byte(value))
	}
	if len(data) != 32+6 {
		return Address{}, malformed("ParseAddressError")
	}
	var a Address
	copy(a[:], regroup(data[:32], 5, 8))
	if a.String() != text {
		return Address{}, malformed("ParseAddressError")
	}
	return a, nil
}

// regroup puts groups of bits into groups of another width; 20 bytes are 32 groups of five.
func regroup(values []byte, from, to uint) []byte {
	var out []byte
	var held, count uint
	for _, value := range values {
		held = held<<from | uint(value)
		for count += from; count >= to; {
			count -= to
			out = append(out, byte(held>>count&(1<<to-1)))
		}
	}
	return out
}

func expanded() []byte { return []byte{addressPrefix[0] >> 5, 0, addressPrefix[0] & 31} }

// checksum is the BCH code of bech32 (BIP 173).
func checksum(values []byte) uint32 {
	residue := uint32(1)
	for _, value := range values {
		top := residue >> 25
		residue = residue&0x1ffffff<<5 ^ uint32(value)
		for bit, part := range [...]uint32{0x3b6a57b2, 0x26508e6d, 0x1ea119fa, 0x3d4233dd, 0x2a1462b3} {
			if top>>bit&1 == 1 {
				residue ^= part
			}
		}
	}
	return residue
}

const sha3Rate = 136

// sha3 is SHA3-256 (FIPS 202), which the standard library has since Go 1.24 alone.
func sha3(message []byte) (digest Digest) {
	padded := make([]byte, (len(message)/sha3Rate+1)*sha3Rate)
	copy(padded, message)
	padded[len(message)] ^= 0x06
	padded[len(padded)-1] ^= 0x80
	var state [25]uint64
	for ; len(padded) > 0; padded = padded[sha3Rate:] {
		for lane := 0; lane < sha3Rate/8; lane++ {
			state[lane] ^= binary.LittleEndian.Uint64(padded[8*lane:])
		}
		keccak(&state)
	}
	for lane := 0; lane < 4; lane++ {
		binary.LittleEndian.PutUint64(digest[8*lane:], state[lane])
	}
	return digest
}

// keccak is Keccak-f[1600]: 24 rounds of θ, ρ and π, χ, ι on lanes at x + 5y.
func keccak(state *[25]uint64) {
	register := uint(1)
	for round := 0; round < 24; round++ {
		var parity [5]uint64
		for lane, word := range state {
			parity[lane%5] ^= word
		}
		for lane := range state {
			state[lane] ^= parity[(lane+4)%5] ^ bits.RotateLeft64(parity[(lane+1)%5], 1)
		}
		// The lane that is step-th on the walk (x, y) → (y, 2x + 3y) is rotated by
		// step(step + 1)/2 and takes the next one's place.
		moved := [25]uint64{state[0]}
		x, y := 1, 0
		for step := 1; step <= 24; step++ {
			nextX, nextY := y, (2*x+3*y)%5
			moved[nextX+5*nextY] = bits.RotateLeft64(state[x+5*y], step*(step+1)/2)
			x, y = nextX, nextY
		}
		for lane := range state {
			row := lane - lane%5
			state[lane] = moved[lane] ^ ^moved[row+(lane+1)%5]&moved[row+(lane+2)%5]
		}
		// Bit 2^j − 1 of a round's constant is the next bit of x^8 + x^6 + x^5 + x^4 + 1's register.
		for j := 0; j < 7; j++ {
			state[0] ^= uint64(register&1) << (1<<j - 1)
			register <<= 1
			if register&0x100 != 0 {
				register ^= 0x171
			}
		}
	}
}
