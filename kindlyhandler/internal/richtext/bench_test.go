package richtext

import (
	"strings"
	"testing"
)

func BenchmarkRender(b *testing.B) {
	for _, bench := range []struct{ name, message string }{
		{"plain", "Hi, where is my parcel? It should have been here yesterday."},
		{"plain, not ASCII", "Hei, hvor er pakken min? Den skulle vært her i går."},
		{"plain, special", "Hei!\n\nPakken #123 er ødelagt & våt. Svar til kari@example.no, takk :-)"},
		{"plain, URL", "Skjemaet er her: https://example.no/retur?ordre=123&språk=nb."},
		{"HTML", `<p>Hei! Hva kan jeg hjelpe deg med?<br/>Se <a href="https://example.no/vilkar?a=1&amp;b=2">vilkårene</a>.</p>`},
		{"HTML, long", strings.Repeat(`<p>Hei! <b>Velg</b> et tema:</p><ul><li>Ordre</li><li><a href="https://example.no/">Retur</a></li></ul>`, 10)},
		{"1 MB of bold", strings.Repeat("<b>", megabyte/3)},
		{"1 MB of unclosed links", strings.Repeat(`<a href="`, megabyte/9)},
		{"1 MB of ampersands", strings.Repeat("&", megabyte)},
		{"1 MB of CDATA", strings.Repeat("<![CDATA[", megabyte/9)},
		{"1 MB of lists", strings.Repeat("<ul><li>x", megabyte/9)},
		{"1 MB of styled paragraphs", "<b><i><u><s><code>" + strings.Repeat("<p>x", megabyte/4)},
	} {
		b.Run(bench.name, func(b *testing.B) {
			b.SetBytes(int64(len(bench.message)))
			b.ReportAllocs()
			for b.Loop() {
				Render(bench.message)
			}
		})
	}
}

func BenchmarkEscapeMarkdown(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		EscapeMarkdown("Kari Nordmann")
	}
}
