package kindly

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// TestPresetsInDocs keeps the table of presets.
func TestPresetsInDocs(t *testing.T) {
	page := readFile(t, "../docs/ticket-systems.md")
	var table strings.Builder
	for _, p := range preset.All() {
		var options []string
		for _, o := range p.Options {
			name := "`" + o.Name + "`"
			if o.Required {
				name += "*"
			}
			options = append(options, name)
		}
		repeat := p.Repeat
		if repeat == "" {
			repeat = "–"
		}
		fmt.Fprintf(&table, "| `%s` | %s | %s | %s | %s |\n", p.Name, p.System, strings.Join(options, ", "), p.Format, repeat)
	}
	_, rest, found := strings.Cut(page, "makes no second ticket by |\n|---|---|---|---|---|\n")
	require.True(t, found)
	got, _, _ := strings.Cut(rest, "\n\n")
	require.Equal(t, table.String(), got+"\n", "copy the table into docs/ticket-systems.md")
}

var (
	link    = regexp.MustCompile(`\]\(([\w.][^)#\s]*)?(#[^)\s]*)?\)`)
	heading = regexp.MustCompile(`(?m)^#+ (.+)$`)
	// marks are what an anchor has nothing of.
	marks = regexp.MustCompile(`[^\pL\pN _-]`)
)

// TestLinks follows the links of all pages to others, and to their headings.
func TestLinks(t *testing.T) {
	var pages []string
	for _, pattern := range []string{"../*.md", "../docs/*.md", "../examples/*/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		require.NotEmpty(t, found, pattern)
		pages = append(pages, found...)
	}
	for _, page := range pages {
		for _, found := range link.FindAllStringSubmatch(readFile(t, page), -1) {
			address, anchor := found[1], found[2]
			if strings.Contains(address, ":") {
				continue // elsewhere
			}
			target := page
			if address != "" {
				target = filepath.Join(filepath.Dir(page), address)
			}
			info, err := os.Stat(target)
			if err == nil && info.IsDir() && anchor != "" {
				target = filepath.Join(target, "README.md") // which is shown there
			}
			if !assert.NoError(t, err, "%s: %s", page, found[0]) || anchor == "" {
				continue
			}
			var anchors []string
			for _, h := range heading.FindAllStringSubmatch(readFile(t, target), -1) {
				anchors = append(anchors, "#"+strings.ReplaceAll(marks.ReplaceAllString(strings.ToLower(h[1]), ""), " ", "-"))
			}
			assert.Contains(t, anchors, anchor, "%s: %s", page, found[0])
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
