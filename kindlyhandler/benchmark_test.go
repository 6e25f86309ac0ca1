package kindlyhandler

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
)

func BenchmarkVerify(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	for _, secrets := range [][]string{{"examplekey"}, {"new", "examplekey"}} {
		b.Run(fmt.Sprintf("secrets=%d", len(secrets)), func(b *testing.B) {
			v := newVerifier(secrets)
			header := signed("examplekey", body)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				signature, err := parseSignature(header)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := v.verify(body, signature); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkParseEvent(b *testing.B) {
	for _, name := range []string{"dialogue-webhook.json", "ticket-webhook.json"} {
		b.Run(strings.TrimSuffix(name, ".json"), func(b *testing.B) {
			body := readTestdata(b, name)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := parseEvent(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// Parsing is a part of it, as messages remember how they were rendered.
func BenchmarkRenderTranscript(b *testing.B) {
	for _, messages := range []int{4, 1000} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			body := transcriptOf(b, messages)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				t, err := parseTranscript(body)
				if err != nil {
					b.Fatal(err)
				}
				renderTranscript(t.messages, "me@example.com")
			}
		})
	}
}

func BenchmarkTicket(b *testing.B) {
	for _, messages := range []int{4, 1000} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			webhook, chat := readTestdata(b, "dialogue-webhook.json"), transcriptOf(b, messages)
			e, err := parseEvent(webhook)
			if err != nil {
				b.Fatal(err)
			}
			id, received := uuid.Must(uuid.NewV7()), time.Now()
			b.ReportAllocs()
			for b.Loop() {
				t, err := parseTranscript(chat)
				if err != nil {
					b.Fatal(err)
				}
				if _, err := newTicket(id, received, e, t, "").encode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// transcriptOf returns the example of a transcript with its messages repeated
// until there are enough.
func transcriptOf(tb testing.TB, messages int) []byte {
	tb.Helper()
	example := string(readTestdata(tb, "transcript.json"))
	before, list, found := strings.Cut(example, `"messages":[`)
	if !found {
		tb.Fatal("the example has no messages")
	}
	list, after, _ := strings.Cut(list, `]}}`)
	var repeated []string
	for n := 0; n < messages; n += 4 {
		repeated = append(repeated, list)
	}
	return []byte(before + `"messages":[` + strings.Join(repeated, ",") + `]}}` + after)
}
