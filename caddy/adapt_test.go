package kindly_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig"
	_ "github.com/caddyserver/caddy/v2/modules/standard"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write what the tests get into their golden files")

// separator stands in a golden file between the Caddyfile and its JSON.
const separator = "----------\n"

// TestAdapt proves what a Caddyfile means. The configuration is not loaded, so
// that it may say what would be refused then.
func TestAdapt(t *testing.T) {
	files, err := filepath.Glob("testdata/adapt/*.caddyfiletest")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".caddyfiletest"), func(t *testing.T) {
			caddyfile, want := readGolden(t, file)
			got, warnings, err := adapt(caddyfile)
			require.NoError(t, err)
			require.Empty(t, warnings, "the Caddyfile is not formatted")
			if *update {
				content := bytes.Join([][]byte{caddyfile, []byte(separator), got, []byte("\n")}, nil)
				require.NoError(t, os.WriteFile(file, content, 0o644))
				return
			}
			requireSameLines(t, want, append(got, '\n'))
		})
	}
}

// requireSameLines shows the first line that differs, instead of all of them.
func requireSameLines(t *testing.T, want, got []byte) {
	t.Helper()
	wantLines, gotLines := strings.Split(string(want), "\n"), strings.Split(string(got), "\n")
	for i := range min(len(wantLines), len(gotLines)) {
		require.Equal(t, wantLines[i], gotLines[i], "line %d of the JSON; -update writes what it is now", i+1)
	}
	require.Len(t, gotLines, len(wantLines), "lines of JSON")
}

func readGolden(t *testing.T, file string) (caddyfile, adapted []byte) {
	t.Helper()
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	caddyfile, adapted, found := bytes.Cut(content, []byte(separator))
	require.True(t, found || *update, "%s has no line of %s", file, separator)
	return caddyfile, adapted
}

// adapt returns the JSON of a Caddyfile, indented.
func adapt(caddyfile []byte) (adapted []byte, warnings []caddyconfig.Warning, err error) {
	adapted, warnings, err = caddyconfig.GetAdapter("caddyfile").Adapt(caddyfile, map[string]any{"filename": "Caddyfile"})
	if err != nil {
		return nil, nil, err
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, adapted, "", "\t"); err != nil {
		return nil, nil, fmt.Errorf("what the adapter returns: %w", err)
	}
	return indented.Bytes(), warnings, nil
}
