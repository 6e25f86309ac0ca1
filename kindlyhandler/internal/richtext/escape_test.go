package richtext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestLine(t *testing.T) {
	for s, want := range map[string]string{
		"":                         "",
		"Kari Nordmann":            "Kari Nordmann",
		"  Kari\r\n\tNordmann\x00": "Kari Nordmann",
		"\u202EKari\u2069\xff":     "Kari\uFFFD",
	} {
		require.Equal(t, want, Line(s))
	}
}

func TestEscapeHTML(t *testing.T) {
	require.Equal(t, "Kari Nordmann", EscapeHTML("Kari\nNordmann"))
	require.Equal(t, "&lt;b&gt; &amp;amp; &#34;&#39;", EscapeHTML(`<b> &amp; "'`))
}

func TestEscapeMarkdown(t *testing.T) {
	for s, want := range map[string]string{
		"Kari Nordmann":         "Kari Nordmann",
		"Kari\n# Nordmann":      "Kari # Nordmann",
		`C:\x\`:                 `C:\\x&#92;`,
		"*a* _b_ `c` ~d~":       `\*a\* \_b\_ &#96;c&#96; &#126;&#8203;d&#126;`,
		"[a](b) [^1] ![c]":      `\[a\](b) \[\^1\] !\[c\]`,
		"<b> &amp;":             "&lt;b&gt; &amp;amp;",
		"a|b":                   `a\|b`,
		"Hei!":                  `Hei\!`,
		"# a":                   `\# a`,
		"#1":                    `\#&#8203;1`,
		"- a - b":               `\- a - b`,
		"+47 22":                `\+47 22`,
		"10. a. 11. b":          `10\. a. 11. b`,
		"10) a":                 `10\) a`,
		"10 a":                  "10 a",
		": a":                   `\: a`,
		"/close /close":         `\/close /close`,
		"@kari, @all (@x/y)":    "@&#8203;kari, @&#8203;all (@&#8203;x/y)",
		"kari@example.no a @ b": "kari&#64;example.no a @ b",
		"/@kari .@kari é@kari":  `\/@&#8203;kari .@&#8203;kari é@&#8203;kari`,
		"nr. #12 o/r#12 # 12":   "nr. #&#8203;12 o/r#&#8203;12 # 12",
		"!1 &1 %1 ~1":           "!&#8203;1 &amp;&#8203;1 %&#8203;1 &#126;&#8203;1",
		`~bug %"v 1" 50% 5%av`:  `&#126;&#8203;bug %&#8203;"v 1" 50% 5%av`,
		"$5 a$":                 "&#36;&#8203;5 a&#36;",
		"GH-1 gh-2 xgh-3 gh-a":  "GH-&#8203;1 gh-&#8203;2 xgh-3 gh-a",
		"https://x.no www.x.no": "https&#58;//x.no www&#46;x.no",
	} {
		t.Run(s, func(t *testing.T) {
			require.Equal(t, want, EscapeMarkdown(s))
		})
	}
}
