package richtext

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestReadURL(t *testing.T) {
	for written, want := range map[string]string{
		"https://example.no":               "https://example.no",
		" HTTPS://Example.no/\n":           "https://Example.no/",
		"https://example.no/a b?c=d e#f g": "https://example.no/a%20b?c=d%20e#f%20g",
		"https://example.no/100%":          "https://example.no/100%25",
		"https://example.no/%C3%B8ø":       "https://example.no/%C3%B8%C3%B8",
		"https://bücher.example/":          "https://b%C3%BCcher.example/",
		"https://example.no/\"<>`\\|{}^":   "https://example.no/%22%3C%3E%60%5C%7C%7B%7D%5E",
		"https://example.no/\u202Egpj.exe": "https://example.no/%E2%80%AEgpj.exe",
		"https://example.no/?a[]=1":        "https://example.no/?a%5B%5D=1",
		"mailto:kari@example.no?subject=a": "mailto:kari@example.no?subject=a",
		"tel:+47 22 33":                    "tel:+47%2022%2033",

		"":                        "",
		"example.no":              "",
		"/a":                      "",
		"//example.no":            "",
		"#a":                      "",
		"https:":                  "",
		"http://[::1]/":           "",
		"https://":                "",
		"https:example.no":        "",
		"https:\\\\example.no":    "",
		"mailto:":                 "",
		"tel:":                    "",
		"javascript:alert(1)":     "",
		"java\nscript:alert(1)":   "",
		"vbscript:x":              "",
		"data:text/html,x":        "",
		"ftp://example.no":        "",
		"file:///etc/passwd":      "",
		"https://exa mple.no":     "",
		"https://a\x00b":          "",
		"\x01javascript:alert(1)": "",
	} {
		t.Run(written, func(t *testing.T) {
			got, ok := readURL(written)
			require.Equal(t, want, got)
			require.Equal(t, want != "", ok)
		})
	}
}
