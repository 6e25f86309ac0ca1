package kindly

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// writes writes a file, which is removed after the test.
func writes(t *testing.T, name, content string) string {
	t.Helper()
	name = filepath.Join(t.TempDir(), name)
	require.NoError(t, os.WriteFile(name, []byte(content), 0o600))
	return name
}

func TestCommandExport(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.ofEach()
		printed, told, err := r.runs(exportCommand())
		require.NoError(t, err)
		require.Empty(t, told)
		require.Equal(t, r.exports(), printed)

		name := filepath.Join(t.TempDir(), "deliveries.jsonl")
		printed, told, err = r.runs(exportCommand(), "--output", name)
		require.NoError(t, err)
		require.Empty(t, printed)
		require.Equal(t, "3 deliveries exported to "+name+".\n", told)
		content, err := os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, r.exports(), string(content))
		info, err := os.Stat(name)
		require.NoError(t, err)
		require.Equal(t, os.FileMode(0o600), info.Mode())

		require.NoError(t, os.WriteFile(name, []byte("of somebody"), 0o600))
		_, _, err = r.runs(exportCommand(), "--output", name)
		require.ErrorIs(t, err, os.ErrExist)
		content, err = os.ReadFile(name)
		require.NoError(t, err)
		require.Equal(t, "of somebody", string(content))
	})
}

func TestCommandExportThatFails(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		r.q.Shutdown(t.Context())
		require.NoError(t, r.store.Store.Close())
		name := filepath.Join(t.TempDir(), "deliveries.jsonl")
		_, told, err := r.runs(exportCommand(), "--output", name)
		require.ErrorContains(t, err, "the server is stopping (HTTP 503)")
		require.Empty(t, told)
		require.NoFileExists(t, name, "half of it is of no use")
	})
}

func TestCommandImport(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		name := writes(t, "deliveries.jsonl", elsewhere(t))
		for _, want := range []string{"3 deliveries imported, 0 there already.\n", "0 deliveries imported, 3 there already.\n"} {
			printed, told, err := r.runs(importCommand(), name)
			require.NoError(t, err)
			require.Empty(t, told)
			require.Equal(t, want, printed)
		}
		r.is(numbered(3), delivery.Delivered)

		cmd := importCommand()
		cmd.SetIn(strings.NewReader(elsewhere(t)))
		printed, _, err := r.runs(cmd, "--json")
		require.NoError(t, err)
		require.JSONEq(t, `{"imported":0,"there_already":3,"refused":[]}`, printed)
	})
}

func TestCommandImportOfWhatIsWrong(t *testing.T) {
	runAdmin(t, func(t *testing.T, r *adminRig) {
		lines := strings.SplitAfter(elsewhere(t), "\n")
		printed, told, err := r.runs(importCommand(), writes(t, "one line", lines[0]+"create ticket\n"+lines[2]+lines[3]+lines[4]))
		require.EqualError(t, err, "1 line could not be read: these deliveries are not imported")
		require.Equal(t, "2 deliveries imported, 0 there already.\n", printed)
		require.Equal(t, "line 2: it is not a JSON object in one line\n", told)

		printed, _, err = r.runs(importCommand(), writes(t, "cut off", lines[0]+lines[1]+lines[2]+lines[3]))
		require.ErrorContains(t, err, "line 5: the file is cut off")
		require.Equal(t, "1 delivery imported, 2 there already.\n", printed)

		printed, _, err = r.runs(importCommand(), writes(t, "none", "create ticket"))
		require.ErrorContains(t, err, "line 1: this is no export of deliveries")
		require.Empty(t, printed)

		_, _, err = r.runs(importCommand(), filepath.Join(t.TempDir(), "nothing"))
		require.ErrorIs(t, err, os.ErrNotExist)
		_, _, err = r.runs(importCommand(), "--offline")
		require.EqualError(t, err, "--address is where a server is: leave it out, or --offline")
	})
}

// offline runs a command that works on the store that a configuration names.
func offline(t *testing.T, cmd *cobra.Command, config string, args ...string) (printed, told string, err error) {
	t.Helper()
	var out, beside bytes.Buffer
	cmd.SetArgs(append(args, "--offline", "--config", writes(t, "Caddyfile", config)))
	cmd.SetOut(&out)
	cmd.SetErr(&beside)
	cmd.SilenceErrors = true
	err = cmd.Execute()
	return out.String(), beside.String(), err
}

func storeBolt(path string) string { return "{\n\tkindly {\n\t\tstore bolt " + path + "\n\t}\n}\n" }

// A store moves to another one without a server.
func TestCommandTransferOffline(t *testing.T) {
	adminStart := time.Now() // the commands go by the clock on the wall
	from, to := filepath.Join(t.TempDir(), "deliveries.db"), filepath.Join(t.TempDir(), "new", "deliveries.db")
	store, err := bolt.Open(bolt.Options{Path: from})
	require.NoError(t, err)
	for n := range byte(3) {
		require.NoError(t, store.Put(t.Context(), []*delivery.Delivery{{
			ID: numbered(n), Lane: zendesk, ReceivedAt: adminStart, DueAt: adminStart, Key: delivery.Key{n + 1}, KeyExpires: adminStart.Add(time.Hour),
		}}))
	}
	_, _, err = offline(t, exportCommand(), storeBolt(from))
	require.ErrorContains(t, err, "store bolt "+from, "a server may have it")
	require.NoError(t, store.Close())

	file := filepath.Join(t.TempDir(), "deliveries.jsonl")
	printed, told, err := offline(t, exportCommand(), storeBolt(from), "--output", file)
	require.NoError(t, err)
	require.Empty(t, printed)
	require.Equal(t, "3 deliveries exported to "+file+".\n", told)
	for _, want := range []string{"3 deliveries imported, 0 there already.\n", "0 deliveries imported, 3 there already.\n"} {
		printed, told, err = offline(t, importCommand(), storeBolt(to), file)
		require.NoError(t, err)
		require.Empty(t, told)
		require.Equal(t, want, printed)
	}
	again, _, err := offline(t, exportCommand(), storeBolt(to))
	require.NoError(t, err)
	content, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, string(content), again)
}

func TestCommandTransferOfflineOfWhatIsWrong(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "deliveries.db")
	for name, test := range map[string]struct{ config, want string }{
		"no file":  {storeBolt(missing), "store bolt " + missing + ": there is no such file: run this as the user that the server runs as"},
		"memory":   {"{\n\tkindly {\n\t\tstore memory\n\t}\n}\n", "the configuration's store has nothing without a server: leave out --offline"},
		"syntax":   {"{\n\tkindly {\n\t\tshop\n\t}\n}\n", "shop"},
		"negative": {"{\n\tkindly {\n\t\tgrace_period -1s\n\t}\n}\n", "grace_period"},
	} {
		t.Run(name, func(t *testing.T) {
			_, _, err := offline(t, exportCommand(), test.config)
			require.ErrorContains(t, err, test.want)
		})
	}
	require.NoFileExists(t, missing)
	cmd := exportCommand()
	cmd.SetArgs([]string{"--envfile", "nothing"})
	cmd.SilenceErrors, cmd.SilenceUsage = true, true
	require.EqualError(t, cmd.Execute(), "--envfile is for --offline: leave it out, or add that")
}
