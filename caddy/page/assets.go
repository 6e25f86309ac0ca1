package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"strings"
)

//go:embed assets
var assets embed.FS

// scripts are the page's, in the order in which they run.
var scripts = []string{"dom.js", "time.js", "words.js", "overview.js", "delivery.js", "page.js"}

// document is the page with its style and scripts in it, so that it is one
// answer; policy is the Content-Security-Policy by which nothing else runs.
var document, policy = assemble()

func assemble() (document []byte, policy string) {
	var head bytes.Buffer
	style := embedded("page.css")
	head.WriteString("<style>" + style + "</style>\n")
	hashes := make([]string, len(scripts))
	var body bytes.Buffer
	for i, name := range scripts {
		script := embedded(name)
		hashes[i] = hash(script)
		body.WriteString("<script>" + script + "</script>\n")
	}
	document = []byte(strings.NewReplacer("</head>", head.String()+"</head>", "</body>", body.String()+"</body>").Replace(embedded("page.html")))
	// Trusted Types, where the browser has them, turn every way by which a
	// string becomes markup or a script into an error.
	return document, strings.Join([]string{
		"default-src 'none'",
		"script-src " + strings.Join(hashes, " "),
		"style-src " + hash(style),
		"connect-src 'self'",
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
}

// embedded returns an asset.
func embedded(name string) string {
	content, err := assets.ReadFile("assets/" + name)
	if err != nil {
		panic(err) // it is compiled in
	}
	return string(content)
}

func hash(s string) string {
	sum := sha256.Sum256([]byte(s))
	return "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
}
