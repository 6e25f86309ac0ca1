package redact

import (
	"bytes"
	"os"
	"regexp"
	"testing"

	"github.com/stretchr/testify/require"
)

// patterns are seven expressions for what the scan recognises, as an operator
// might write them, without the checks.
var patterns = []string{
	`\b\d(?:[ -]?\d){12,18}\b`,
	`\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]){11,29}\b`,
	`[\w.%+'-]+@[\w-]+(?:\.[\w-]+)+`,
	`\b\d{6}[ -]?\d{5}\b`,
	`\b(?:\d{2})?\d{6}[-+ ]?\d{4}\b`,
	`\b\d{6}-?\d{4}\b`,
	`\b\d{6}[-+A-FU-Y]\d{3}[0-9A-Y]\b`,
}

// BenchmarkJSON redacts a chat of 4 KB in which nothing is found, as usual, and
// has the seven expressions read the same bytes; and one in which much is.
func BenchmarkJSON(b *testing.B) {
	found := example(b)
	chat := bytes.ReplaceAll(found, []byte("@"), []byte(" at "))
	b.Run("scan", func(b *testing.B) {
		r := newRedactor(b, everything...)
		b.SetBytes(int64(len(chat)))
		b.ReportAllocs()
		for b.Loop() {
			r.JSON(chat, anything)
		}
	})
	b.Run("expressions", func(b *testing.B) {
		var all []*regexp.Regexp
		for _, pattern := range patterns {
			all = append(all, regexp.MustCompile(pattern))
		}
		b.SetBytes(int64(len(chat)))
		b.ReportAllocs()
		for b.Loop() {
			for _, e := range all {
				e.Match(chat)
			}
		}
	})
	found = bytes.ReplaceAll(found, []byte("create ticket"), []byte("4111 1111 1111 1111"))
	b.Run("found", func(b *testing.B) {
		buffer := make([]byte, len(found))
		r := newRedactor(b, everything...)
		b.SetBytes(int64(len(chat)))
		b.ReportAllocs()
		for b.Loop() {
			r.JSON(append(buffer[:0], found...), anything)
		}
	})
}

// example returns the example of a transcript, three times.
func example(b *testing.B) []byte {
	b.Helper()
	chat, err := os.ReadFile("../../testdata/transcript.json")
	require.NoError(b, err)
	chat = bytes.TrimSpace(chat)
	return bytes.Join([][]byte{[]byte("["), bytes.Join([][]byte{chat, chat, chat}, []byte(",")), []byte("]")}, nil)
}
