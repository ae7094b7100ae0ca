package attestation

import (
	"crypto/ed25519"
	"math/big"
)

// Strict Ed25519. The standard library checks the plain equation [S]B = R + [k]A and that S is
// below the order; it takes every encoding of a key, and keys and R of small order. Its points are
// internal to it, so the checks of points are made here, on math/big.

// VerifySignature says whether a signature is the key's strict signature over the message.
func VerifySignature(key, message, signature []byte) bool {
	return signatureFlaw(key, message, signature) == ""
}

// signatureFlaw names the first rule that a signature breaks.
func signatureFlaw(key, message, signature []byte) string {
	if len(key) != ed25519.PublicKeySize || len(signature) != ed25519.SignatureSize {
		return "Length"
	}
	if _, flaw := readPoint(key); flaw != "" {
		return "Key" + flaw
	}
	if littleEndian(signature[32:]).Cmp(order) >= 0 {
		return "ScalarNotReduced"
	}
	if _, flaw := readPoint(signature[:32]); flaw != "" {
		return "R" + flaw
	}
	if !ed25519.Verify(key, message, signature) {
		return "Equation"
	}
	return ""
}

// groupKeyFlaw says why a key must not be trusted as a group key.
func groupKeyFlaw(key []byte) string {
	p, flaw := readPoint(key)
	if flaw != "" {
		return flaw
	}
	if !p.multiply(order).isIdentity() {
		return "Torsion"
	}
	return ""
}

// readPoint gives the point that 32 bytes encode, or what is wrong with them.
func readPoint(encoded []byte) (*point, string) {
	number := littleEndian(encoded)
	odd := number.Bit(255)
	y := number.SetBit(number, 255, 0)
	reduced := y.Cmp(prime) < 0
	p := fromY(mod(y))
	switch {
	case p == nil:
		return nil, "NotAPoint"
	case !reduced || p.x.Sign() == 0 && odd == 1:
		return nil, "NotCanonical"
	}
	if p.x.Bit(0) != odd {
		p.x = mod(new(big.Int).Neg(p.x))
		p.t = mul(p.x, p.y)
	}
	twice := p.add(p)
	fourTimes := twice.add(twice)
	if fourTimes.add(fourTimes).isIdentity() {
		return nil, "SmallOrder"
	}
	return p, ""
}

// point is on −x² + y² = 1 + dx²y²: x = X/Z, y = Y/Z, xy = T/Z.
type point struct{ x, y, z, t *big.Int }

// fromY is a point with this y; nil if there is none (RFC 8032 §5.1.3).
func fromY(y *big.Int) *point {
	yy := mul(y, y)
	u := mod(new(big.Int).Sub(yy, one))
	v := mod(new(big.Int).Add(mul(curveD, yy), one))
	square := mul(u, new(big.Int).ModInverse(v, prime))
	x := new(big.Int).ModSqrt(square, prime)
	if x == nil {
		return nil
	}
	return &point{x, y, one, mul(x, y)}
}

// add is complete: the formula holds for any two points of the curve.
func (p *point) add(q *point) *point {
	a := mul(sub(p.y, p.x), sub(q.y, q.x))
	b := mul(sum(p.y, p.x), sum(q.y, q.x))
	c := mul(mul(sum(p.t, p.t), curveD), q.t)
	d := mul(sum(p.z, p.z), q.z)
	e, f, g, h := sub(b, a), sub(d, c), sum(d, c), sum(b, a)
	return &point{mul(e, f), mul(g, h), mul(f, g), mul(e, h)}
}

func (p *point) multiply(scalar *big.Int) *point {
	result := &point{new(big.Int), one, one, new(big.Int)}
	for bit := scalar.BitLen() - 1; bit >= 0; bit-- {
		result = result.add(result)
		if scalar.Bit(bit) == 1 {
			result = result.add(p)
		}
	}
	return result
}

func (p *point) isIdentity() bool { return p.x.Sign() == 0 && p.y.Cmp(p.z) == 0 }

var (
	one   = big.NewInt(1)
	prime = sub(new(big.Int).Lsh(one, 255), big.NewInt(19))
	// 2^252 + 27742317777372353535851937790883648493
	order  = sum(new(big.Int).Lsh(one, 252), decimal("27742317777372353535851937790883648493"))
	curveD = mul(big.NewInt(-121665), new(big.Int).ModInverse(big.NewInt(121666), prime))
)

func mod(number *big.Int) *big.Int { return number.Mod(number, prime) }

func mul(a, b *big.Int) *big.Int { return mod(new(big.Int).Mul(a, b)) }

func sum(a, b *big.Int) *big.Int { return new(big.Int).Add(a, b) }

func sub(a, b *big.Int) *big.Int { return new(big.Int).Sub(a, b) }

func littleEndian(encoded []byte) *big.Int {
	reversed := make([]byte, len(encoded))
	for at, b := range encoded {
		reversed[len(encoded)-1-at] = b
	}
	return new(big.Int).SetBytes(reversed)
}

func decimal(digits string) *big.Int {
	number, _ := new(big.Int).SetString(digits, 10)
	return number
}
