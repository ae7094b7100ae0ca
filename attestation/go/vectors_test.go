package attestation

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
)

// Every golden vector: files of ../vectors and of the folder that ZQ_VECTORS_MORE names. A file or
// a list that no reader knows is an error; the number of cases is printed, for whoever runs this to
// compare with its own.

func TestVectors(t *testing.T) {
	paths := vectorFiles(t)
	if len(paths) < 12 {
		t.Fatalf("%d files of vectors", len(paths))
	}
	for _, path := range paths {
		name := filepath.Base(path)
		t.Run(name, func(t *testing.T) {
			count := judge(t, path)
			if count == 0 {
				t.Fatal("no case")
			}
			fmt.Printf("vectors %s %d\n", name, count)
		})
	}
}

func vectorFiles(t testing.TB) []string {
	var paths []string
	for _, folder := range []string{"../vectors", os.Getenv("ZQ_VECTORS_MORE")} {
		if folder == "" {
			continue
		}
		found, err := filepath.Glob(filepath.Join(folder, "*.json"))
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, found...)
	}
	return paths
}

// vector is a case: the JSON of its fields.
type vector map[string]json.RawMessage

// reader of one list of a format's cases: why the case is not judged as it says, or nil.
type judgement func(vector) error

func judge(t *testing.T, path string) int {
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var file vector
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	format := file.text("format")
	readers, known := formats[format]
	if !known {
		t.Fatalf("no reader for format %q", format)
	}
	count := 0
	for list, raw := range file {
		switch list {
		case "about", "format", "length", "offsets", "checks", "signed_bytes", "content_type":
			continue
		}
		read, known := readers[list]
		if !known {
			t.Fatalf("no reader for %q", list)
		}
		for at, entry := range entries(t, raw) {
			if err := read(entry); err != nil {
				t.Errorf("%s %d %s: %v", list, at, entry.optional("name"), err)
			}
			count++
		}
	}
	return count
}

// entries are the cases of a list; those of a map are named by their keys.
func entries(t *testing.T, raw json.RawMessage) []vector {
	var list []vector
	if json.Unmarshal(raw, &list) == nil {
		return list
	}
	var named vector
	if err := json.Unmarshal(raw, &named); err != nil {
		t.Fatal(err)
	}
	for name, value := range named {
		list = append(list, vector{"name": json.RawMessage(strconv.Quote(name)), "value": value})
	}
	return list
}

// into decodes a field that must be there.
func (v vector) into(name string, to any) {
	if err := json.Unmarshal(v[name], to); err != nil {
		panic(fmt.Sprintf("%s: %v", name, err))
	}
}

func (v vector) text(name string) (text string) {
	v.into(name, &text)
	if text == "" && name == "error" {
		panic("an invalid case names its error")
	}
	return text
}

// optional is a text that may be missing or null: then it is empty.
func (v vector) optional(name string) string {
	if _, given := v[name]; !given || string(v[name]) == "null" {
		return ""
	}
	return v.text(name)
}

func (v vector) number(name string) (number uint64) {
	v.into(name, &number)
	return number
}

func (v vector) bytes(name string) []byte { return unhex(v.text(name)) }

func unhex(digits string) []byte {
	decoded, err := hex.DecodeString(digits)
	if err != nil {
		panic(err)
	}
	return decoded
}

func (v vector) digest(name string) (d Digest) {
	if copy(d[:], v.bytes(name)) != len(d) {
		panic(name + " is not 32 bytes")
	}
	return d
}

func (v vector) key() (*TrustedKey, error) {
	digits := v.text("group_key")
	if _, known := trusted[digits]; !known {
		key, err := NewTrustedKey(v.digest("group_key"))
		trusted[digits] = verdict{key, err}
	}
	return trusted[digits].key, trusted[digits].err
}

// trusted keeps verdicts of keys: checking one takes milliseconds, and the vectors share few.
var trusted = map[string]verdict{}

type verdict struct {
	key *TrustedKey
	err error
}

func same(what string, found, wanted any) error {
	if reflect.DeepEqual(found, wanted) {
		return nil
	}
	return fmt.Errorf("%s: %v, not %v", what, found, wanted)
}

func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// refusal is the name of an error of ours.
func refusal(err error) string {
	switch err := err.(type) {
	case *Malformed:
		return err.Reason
	case *Refused:
		return err.Reason
	}
	return fmt.Sprintf("other: %v", err)
}

func refusedBy[T any](decode func([]byte) (T, error)) judgement {
	return func(v vector) error {
		_, err := decode(v.bytes("bytes"))
		return same("refusal", refusal(err), v.text("error"))
	}
}

// asStructure forgives what a strict reader does not tell: a second encoding from no message.
func asStructure[T any](decode func([]byte) (T, error)) judgement {
	any := func(reason string) string { return strings.Replace(reason, "NotCanonical", "Structure", 1) }
	return func(v vector) error {
		_, err := decode(v.bytes("bytes"))
		return same("refusal", any(refusal(err)), any(v.text("error")))
	}
}

// fieldsAre compares the fields of a struct with the JSON of the same names in other letters:
// numbers in decimal or as numbers, bytes in hexadecimal.
func fieldsAre(value any, wanted json.RawMessage) error {
	var fields vector
	if err := json.Unmarshal(wanted, &fields); err != nil {
		return err
	}
	delete(fields, "kind")
	found := reflect.Indirect(reflect.ValueOf(value))
	if found.NumField() != len(fields) {
		return fmt.Errorf("%d fields, not %d", found.NumField(), len(fields))
	}
	for name, raw := range fields {
		field := found.FieldByNameFunc(func(candidate string) bool {
			return strings.EqualFold(candidate, strings.ReplaceAll(name, "_", ""))
		})
		if !field.IsValid() {
			return fmt.Errorf("no field %s", name)
		}
		text := strings.Trim(string(raw), `"`)
		shown := shown(field)
		if field.Kind() == reflect.Slice && !strings.HasPrefix(text, "[") {
			shown = fmt.Sprintf("%x", field.Bytes())
		}
		if shown != text {
			return fmt.Errorf("%s: %s, not %s", name, shown, text)
		}
	}
	return nil
}

func shown(field reflect.Value) string {
	switch field.Kind() {
	case reflect.Array:
		shown := ""
		for at := 0; at < field.Len(); at++ {
			shown += fmt.Sprintf("%02x", field.Index(at).Uint())
		}
		return shown
	case reflect.Slice:
		encoded, _ := json.Marshal(numbers(field.Bytes()))
		return string(encoded)
	}
	return fmt.Sprintf("%v", field.Convert(plain(field.Kind())).Interface())
}

// plain is the type of a kind without methods.
func plain(kind reflect.Kind) reflect.Type {
	switch kind {
	case reflect.String:
		return reflect.TypeOf("")
	default:
		return reflect.TypeOf(uint64(0))
	}
}

func numbers(bytes []byte) []int {
	list := []int{}
	for _, b := range bytes {
		list = append(list, int(b))
	}
	return list
}

func compact(raw json.RawMessage) json.RawMessage {
	var out bytes.Buffer
	_ = json.Compact(&out, raw)
	return out.Bytes()
}
