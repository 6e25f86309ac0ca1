// Package e2e tests the binary as its users run it: a Caddyfile, real ports on
// loopback, the admin API, signals.
package e2e

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// How long the long tests are. The README has the command for more.
var (
	kills   = flag.Int("kills", 5, "how often TestAccountBalances kills Caddy")
	reloads = flag.Int("reloads", 20, "how often TestReloadUnderLoad changes the configuration")
	trouble = flag.Duration("trouble", 20*time.Second, "how long TestFleetAccountBalances kills Caddys and their database")
)

// binaries is where TestMain builds to.
var binaries string

// runTests runs the tests, and ends what they share.
var runTests = (*testing.M).Run

func TestMain(m *testing.M) {
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) int {
	dir, err := os.MkdirTemp("", "kindly-e2e-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(dir)
	binaries = dir
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if underRace {
		args = append(args, "-race")
	}
	build := exec.Command("go", append(args, "../kindly-caddy", "../../examples/own-api/receiver")...)
	if output, err := build.CombinedOutput(); err != nil {
		fmt.Fprintf(os.Stderr, "building: %v\n%s", err, output)
		return 1
	}
	return runTests(m)
}
