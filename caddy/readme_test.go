package kindly

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/upstream/preset"
)

// TestReadmePresets keeps the README's table of presets.
func TestReadmePresets(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	require.NoError(t, err)
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
	_, rest, found := strings.Cut(string(readme), "makes no second ticket by |\n|---|---|---|---|---|\n")
	require.True(t, found)
	got, _, _ := strings.Cut(rest, "\n\n")
	require.Equal(t, table.String(), got+"\n", "copy the table into the README")
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	return string(content)
}
