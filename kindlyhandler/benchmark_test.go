package kindlyhandler

import (
	"fmt"
	"strings"
	"testing"
	"time"
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

func BenchmarkParseTranscript(b *testing.B) {
	perTranscript(b, func(b *testing.B, chat *transcript) {
		if _, err := parseTranscript(chat.raw); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkRenderTranscript(b *testing.B) {
	perTranscript(b, func(_ *testing.B, chat *transcript) { renderTranscript(chat.messages, "me@example.com", time.UTC) })
}

func BenchmarkTicket(b *testing.B) {
	e := mustParseEvent(b, string(readTestdata(b, "dialogue-webhook.json")))
	perTranscript(b, func(b *testing.B, chat *transcript) {
		if _, err := newTicket(exampleID, exampleReceived, e, chat, "").encode(); err != nil {
			b.Fatal(err)
		}
	})
}

func BenchmarkTicketValue(b *testing.B) {
	e := mustParseEvent(b, string(readTestdata(b, "dialogue-webhook.json")))
	perTranscript(b, func(_ *testing.B, chat *transcript) { newTicket(exampleID, exampleReceived, e, chat, "").value(true) })
}

// perTranscript measures what is done with a transcript. Messages remember how
// they were rendered, so each time gets them anew.
func perTranscript(b *testing.B, do func(b *testing.B, chat *transcript)) {
	for _, messages := range []int{4, 1000} {
		b.Run(fmt.Sprintf("messages=%d", messages), func(b *testing.B) {
			parsed, err := parseTranscript(transcriptOf(b, messages))
			if err != nil {
				b.Fatal(err)
			}
			chat := *parsed
			b.SetBytes(int64(len(chat.raw)))
			b.ReportAllocs()
			for b.Loop() {
				chat.messages = append(chat.messages[:0:0], parsed.messages...)
				do(b, &chat)
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
