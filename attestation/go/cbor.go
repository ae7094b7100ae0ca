package attestation

import "unicode/utf8"

// Deterministic CBOR (RFC 8949 §4.2.1), read strictly: the encoding that a value has, and no
// other. Nothing is allocated on the word of a length, and nesting is bounded.

const depthMax = 16

// Items are uint64, negative, []byte, string, []any, pairs, tagged, bool or nil.
type (
	// negative n is the integer −1 − n.
	negative uint64
	pairs    []pair
	pair     struct{ key, value any }
	tagged   struct {
		tag   uint64
		value any
	}
)

// find gives the value of a key, nil if there is none.
func (p pairs) find(key any) any {
	for _, pair := range p {
		if pair.key == key {
			return pair.value
		}
	}
	return nil
}

// decodeItem gives the one item that the bytes hold.
func decodeItem(bytes []byte) (any, error) {
	r := reader{rest: bytes}
	item := r.item(0)
	return item, r.end()
}

// reader reads item by item. After the first error it gives zero values and keeps the error.
type reader struct {
	rest []byte
	err  error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
	r.rest = nil
}

// end is the first error; bytes that are left are one.
func (r *reader) end() error {
	if r.err == nil && len(r.rest) > 0 {
		r.fail(errStructure)
	}
	return r.err
}

// head is major type, argument and number of bytes of the argument.
func (r *reader) head() (major byte, argument uint64, width int) {
	first := r.take(1)
	if r.err != nil {
		return 0, 0, 0
	}
	major, info := first[0]>>5, first[0]&0x1f
	switch {
	case info < 24:
		return major, uint64(info), 0
	case info == 31 && major >= 2 && major <= 5:
		r.fail(errNotCanonical)
		return 0, 0, 0
	case info > 27:
		r.fail(errStructure)
		return 0, 0, 0
	}
	width = 1 << (info - 24)
	for _, b := range r.take(uint64(width)) {
		argument = argument<<8 | uint64(b)
	}
	least := [...]uint64{24, 1 << 8, 1 << 16, 1 << 32}[info-24]
	if r.err == nil && major != 7 && argument < least {
		r.fail(errNotCanonical)
	}
	return major, argument, width
}

func (r *reader) take(length uint64) []byte {
	if r.err != nil || length > uint64(len(r.rest)) {
		r.fail(errStructure)
		return nil
	}
	taken := r.rest[:length:length]
	r.rest = r.rest[length:]
	return taken
}

func (r *reader) item(depth int) any {
	if depth > depthMax {
		r.fail(errStructure)
	}
	major, argument, width := r.head()
	if r.err != nil {
		return nil
	}
	switch major {
	case 0:
		return argument
	case 1:
		return negative(argument)
	case 2:
		return r.take(argument)
	case 3:
		return r.utf8(argument)
	case 4:
		return r.items(argument, depth)
	case 5:
		return r.pairs(argument, depth)
	case 6:
		return tagged{argument, r.item(depth + 1)}
	default:
		return r.simple(argument, width)
	}
}

func (r *reader) items(count uint64, depth int) any {
	items := []any{}
	for ; count > 0 && r.err == nil; count-- {
		items = append(items, r.item(depth+1))
	}
	return items
}

func (r *reader) pairs(count uint64, depth int) any {
	found := pairs{}
	for ; count > 0 && r.err == nil; count-- {
		key := r.item(depth + 1)
		// Keys are integers or text in every map of ours; no key stands twice.
		switch key.(type) {
		case uint64, negative, string:
		default:
			r.fail(errStructure)
			return nil
		}
		for _, before := range found {
			if before.key == key {
				r.fail(errStructure)
			}
		}
		found = append(found, pair{key, r.item(depth + 1)})
	}
	return found
}

func (r *reader) utf8(length uint64) string {
	text := r.take(length)
	if !utf8.Valid(text) {
		r.fail(errStructure)
	}
	return string(text)
}

// simple is false, true or null; undefined is null in another encoding.
func (r *reader) simple(argument uint64, width int) any {
	switch {
	case width == 0 && argument == 20:
		return false
	case width == 0 && argument == 21:
		return true
	case width == 0 && argument == 22:
		return nil
	case width == 0 && argument == 23:
		r.fail(errNotCanonical)
	default:
		r.fail(errStructure)
	}
	return nil
}

// Messages: maps with the names of their fields in the order of their declaration.

// field reads a field's name.
func (r *reader) field(name string) *reader {
	if r.text() != name {
		r.fail(errStructure)
	}
	return r
}

// optional reads the name of a field that may be left out, if it is the next of those that are left.
func (r *reader) optional(name string, left *uint64) bool {
	ahead := *r
	if r.err != nil || *left == 0 || ahead.text() != name || ahead.err != nil {
		return false
	}
	*r = ahead
	*left--
	return true
}

// more is the number of fields of a message beyond the least that it has.
func (r *reader) more(least uint64) uint64 {
	count := r.of(5)
	if count < least {
		r.fail(errStructure)
		return 0
	}
	return count - least
}

// none fails if fields are left that have no name that is known.
func (r *reader) none(left uint64) {
	if left > 0 {
		r.fail(errStructure)
	}
}

// set reads a flag that is written only where it is true.
func (r *reader) set() bool {
	value := r.boolean()
	if !value {
		r.fail(errNotCanonical)
	}
	return value
}

// open reads the head of a message with this number of fields.
func (r *reader) open(fields uint64) {
	if r.of(5) != fields {
		r.fail(errStructure)
	}
}

// of is the argument of a head that must be of this major type.
func (r *reader) of(major byte) uint64 {
	found, argument, _ := r.head()
	if found != major {
		r.fail(errStructure)
	}
	return argument
}

// uint reads a number of at most `most`.
func (r *reader) uint(most uint64) uint64 {
	value := r.of(0)
	if value > most {
		r.fail(errStructure)
	}
	return value
}

// boolean reads false or true.
func (r *reader) boolean() bool {
	major, argument, width := r.head()
	value, is := r.simple(argument, width).(bool)
	if major != 7 || !is {
		r.fail(errStructure)
	}
	return value
}

func (r *reader) text() string { return r.utf8(r.of(3)) }

func (r *reader) bytes() []byte { return r.take(r.of(2)) }

// fixed reads a byte string of the width of `to`.
func (r *reader) fixed(to []byte) {
	if r.of(2) != uint64(len(to)) {
		r.fail(errStructure)
		return
	}
	copy(to, r.take(uint64(len(to))))
}
