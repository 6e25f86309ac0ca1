package kindly

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// options returns the global option kindly.
func options(lines ...string) string {
	return "\tkindly {\n\t\t" + strings.Join(lines, "\n\t\t") + "\n\t}\n"
}

// file returns a path for the test.
func (l *lifecycle) file(elements ...string) string {
	return filepath.Join(append([]string{l.dir}, elements...)...)
}

// deliveries is where the file is by default.
func (l *lifecycle) deliveries() string { return l.file("caddy", "kindly", "deliveries.db") }

// logged returns the lines of the log that have some words.
func (l *lifecycle) logged(words string) (lines []string) {
	l.t.Helper()
	content, err := os.ReadFile(l.file("log"))
	require.NoError(l.t, err)
	for line := range strings.Lines(string(content)) {
		if strings.Contains(line, words) {
			lines = append(lines, line)
		}
	}
	return lines
}

const leftBehind = "deliveries are left behind in a store that is no longer configured"

func TestDefaultStore(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("shop", l.desk.URL) + l.webhook("more", l.desk.URL)))
	requireOneUser(t)
	l.send("shop", "chat-1")
	l.send("more", "chat-2")
	require.NoError(t, l.desk.Wait(l.context(), 2))
	info, err := os.Stat(l.deliveries())
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode())
}

// TestStoreOnlyWhereNeeded proves that middleware has no store, and the global
// option has one, whatever handlers there are.
func TestStoreOnlyWhereNeeded(t *testing.T) {
	l := newLifecycle(t)
	middleware := "\tkindly_webhook /shop shop {\n\t\tsecret " + lifecycleSecret + "\n\t\ttranscript off\n\t}\n\trespond /shop ok\n"
	l.load(l.site(middleware))
	require.Equal(t, "ok", l.send("shop", "chat-1"))
	require.False(t, hasRuntime())
	require.NoFileExists(t, l.deliveries())

	l.load(l.site(middleware, options()))
	requireOneUser(t)
	require.FileExists(t, l.deliveries())
	require.Equal(t, "ok", l.send("shop", "chat-1"))
	l.load(l.site(middleware))
	require.False(t, hasRuntime())
}

func TestSameStoreOverReloads(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("shop", l.desk.URL)))
	first := currentRuntime()
	l.send("shop", "chat")
	answer := l.send("shop", "chat-0")
	for i := range 10 {
		l.load(l.site(l.webhook("shop", l.desk.URL), options("max_pending "+fmt.Sprint(10+i), "store bolt "+l.deliveries())))
		require.Same(t, first, currentRuntime())
		requireOneUser(t)
		require.Equal(t, answer, l.send("shop", "chat-0"))
		l.send("shop", fmt.Sprintf("chat-%d", i+1))
	}
	require.NoError(t, l.desk.Wait(l.context(), 12))
	require.Equal(t, 12, l.desk.Attempts())
}

// TestSymlinksAreFollowed proves that one file is one store, by whatever path,
// and before and after it is there.
func TestSymlinksAreFollowed(t *testing.T) {
	l := newLifecycle(t)
	require.NoError(t, os.Mkdir(l.file("real"), 0o700))
	for link, target := range map[string]string{
		"dir":     "real",
		"file.db": filepath.Join("dir", "deliveries.db"),
		"other":   l.file("not", "there", "yet"),
	} {
		require.NoError(t, os.Symlink(target, l.file(link)))
	}
	with := func(path string) string {
		return l.site(l.webhook("shop", l.desk.URL), options("store bolt "+path))
	}
	l.load(with(l.file("file.db")))
	first := currentRuntime()
	require.FileExists(t, l.file("real", "deliveries.db"))
	for _, path := range []string{
		l.file("dir", "deliveries.db"), l.file("real", "deliveries.db"), l.file("dir", "..", "real", ".", "deliveries.db"), l.file("file.db"),
	} {
		l.load(with(path))
		require.Same(t, first, currentRuntime(), path)
		requireOneUser(t)
	}
	link, err := os.Readlink(l.file("file.db"))
	require.NoError(t, err, "it is still one")
	require.Equal(t, filepath.Join("dir", "deliveries.db"), link)

	l.load(with(l.file("other", "deliveries.db")))
	requireOneUser(t)
	second := currentRuntime()
	require.NotSame(t, first, second)
	l.load(with(l.file("not", "there", "yet", "deliveries.db")))
	require.Same(t, second, currentRuntime())
}

// TestLimitsAreAppliedLive proves that the limits of the newest configuration
// hold, and those of the one before again if that fails.
func TestLimitsAreAppliedLive(t *testing.T) {
	for _, store := range []string{"bolt", "memory"} {
		t.Run(store, func(t *testing.T) {
			l := newLifecycle(t)
			l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable, "Retry-After", "3600"))
			at := func(most int) string {
				return l.site(l.webhook("shop", l.desk.URL), options("store "+store, "max_pending "+fmt.Sprint(most)))
			}
			chats := 0
			requireFull := func(full bool) {
				t.Helper()
				chats++
				require.Equal(t, full, strings.Contains(l.send("shop", fmt.Sprintf("chat-%d", chats)), "Sorry"))
			}
			l.load(at(1))
			requireFull(false)
			requireFull(true)
			l.load(at(2))
			requireFull(false)
			requireFull(true)

			siblingFails.Store(true)
			defer siblingFails.Store(false)
			for range 5 { // apps start in no fixed order
				require.ErrorContains(t, l.fail(at(1000)), "the sibling does not start")
				requireFull(true)
			}
			siblingFails.Store(false)
			l.load(at(1))
			requireFull(true)
		})
	}
}

// TestAnotherStore proves what becomes of deliveries when the path changes:
// they stay, the log tells of them, and they go out when the path comes back.
func TestAnotherStore(t *testing.T) {
	l := newLifecycle(t)
	l.desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook))
	l.send("shop", "chat-1")
	l.send("shop", "chat-2")

	other := l.site(webhook, options("store bolt "+l.file("other.db")))
	l.load(other)
	requireOneUser(t)
	l.send("shop", "chat-3")
	lines := l.logged(leftBehind)
	require.Len(t, lines, 1)
	require.Contains(t, lines[0], "write `store bolt "+l.deliveries()+"` again until nothing is pending there")
	require.Contains(t, lines[0], `"pending":2,"dead_letters":0`)
	require.Contains(t, lines[0], `"level":"error"`)
	before := l.metric(`caddy_kindly_losses_total{name="shop",reason="left_behind",upstream="default"}`)
	require.Positive(t, before)

	l.load(l.site(webhook, options("store memory")))
	require.Len(t, l.logged(leftBehind), 2)
	require.Equal(t, before+1, l.metric(`caddy_kindly_losses_total{name="shop",reason="left_behind",upstream="default"}`))
	l.send("shop", "chat-4")

	l.desk.Recover()
	l.load(l.site(webhook))
	lost := l.logged("deliveries are lost: they were kept in memory")
	require.Len(t, lost, 1)
	require.Contains(t, lost[0], `"store":"memory","pending":1`)
	require.NoError(t, l.desk.Wait(l.context(), 2))
	l.load(other)
	require.NoError(t, l.desk.Wait(l.context(), 3))
	require.Len(t, l.logged(leftBehind), 2, "the first store was empty")
}

// TestAnotherStoreWaits proves that webhooks under way when the store changes
// get their answers.
func TestAnotherStoreWaits(t *testing.T) {
	l := newLifecycle(t)
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook))
	for i, store := range []string{"memory", "bolt " + l.file("other.db"), "bolt"} {
		l.desk.FailNext(1, kindlytest.Delay(500*time.Millisecond))
		answer := make(chan string, 1)
		go func() { answer <- l.send("shop", fmt.Sprintf("chat-%d", i)) }()
		require.NoError(t, l.desk.WaitAttempts(l.context(), i+1))
		l.load(l.site(webhook, options("store "+store)))
		require.Contains(t, <-answer, "Your request has been passed on to our support team.")
		require.Equal(t, i+1, l.desk.Count())
		require.Equal(t, i+1, l.desk.Attempts())
	}
	require.Empty(t, l.logged(leftBehind))
	require.Empty(t, l.logged("deliveries are lost"))
}

// crowd sends webhooks, each from a chat of its own, until it is told to stop.
// None of them may be refused. It returns how many were accepted.
func (l *lifecycle) crowd() (stop func() int) {
	done := make(chan struct{})
	var accepted atomic.Int64
	var clients sync.WaitGroup
	for client := range 8 {
		clients.Go(func() {
			for n := 0; ; n++ {
				select {
				case <-done:
					return
				default:
				}
				if answer := l.send("shop", fmt.Sprintf("crowd-%d-%d", client, n)); strings.Contains(answer, "Sorry") {
					l.t.Error("a webhook was refused")
				}
				accepted.Add(1)
			}
		})
	}
	return sync.OnceValue(func() int {
		close(done)
		clients.Wait()
		return int(accepted.Load())
	})
}

// TestAnotherStoreUnderLoad changes the path again and again while webhooks
// come in. None is refused, and none waits in a store that is not configured.
func TestAnotherStoreUnderLoad(t *testing.T) {
	l := newLifecycle(t)
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook))
	stop := l.crowd()
	defer stop()
	for i := range 10 {
		l.load(l.site(webhook, options("store bolt "+l.file(fmt.Sprintf("%d.db", i%2)))))
	}
	accepted := stop()
	require.NoError(t, l.desk.Wait(l.context(), accepted))
	require.Equal(t, accepted, l.desk.Count())
	require.Empty(t, l.logged(leftBehind))
}

// TestFailedReloadToAnotherStore proves that a configuration that does not
// start leaves neither its own store open nor the other one closed, and that
// nothing gets into its store.
func TestFailedReloadToAnotherStore(t *testing.T) {
	l := newLifecycle(t)
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook))
	first := currentRuntime()
	stop := l.crowd()
	defer stop()
	siblingFails.Store(true)
	defer siblingFails.Store(false)
	for range 20 { // apps start in no fixed order
		require.ErrorContains(t, l.fail(l.site(webhook, options("store bolt "+l.file("other.db")))), "the sibling does not start")
		requireOneUser(t)
		require.Same(t, first, currentRuntime())
	}
	accepted := stop()
	require.NoError(t, l.desk.Wait(l.context(), accepted))
	require.Equal(t, accepted, l.desk.Count())

	other, err := bolt.Open(bolt.Options{Path: l.file("other.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, other.Close()) }()
	counts, err := other.Count(t.Context())
	require.NoError(t, err)
	require.Empty(t, counts)
}

// TestStoreThatDoesNotOpen proves that the operator is told why, soon, and that
// the configuration before goes on.
func TestStoreThatDoesNotOpen(t *testing.T) {
	l := newLifecycle(t)
	webhook := l.webhook("shop", l.desk.URL)
	l.load(l.site(webhook))
	taken, err := bolt.Open(bolt.Options{Path: l.file("taken.db")})
	require.NoError(t, err)
	defer func() { require.NoError(t, taken.Close()) }()
	require.NoError(t, os.WriteFile(l.file("file"), []byte("a file"), 0o600))
	require.NoError(t, os.Symlink("loop", l.file("loop")))

	for path, want := range map[string]string{
		"taken.db": "another process has it open (a second Caddy with the same storage?): end that, or give this one a path of its own (store bolt <path>)",
		"caddy":    "it is a directory: write the path of a file, such as " + l.file("caddy", "deliveries.db"),
		"file/a":   "not a directory",
		"loop":     "too many links",
	} {
		started := time.Now()
		err := l.fail(l.site(webhook, options("store bolt "+l.file(path))))
		require.Less(t, time.Since(started), 10*time.Second)
		require.ErrorContains(t, err, "kindly app module: start: store bolt "+l.file(path)+": ")
		require.ErrorContains(t, err, want)
		requireOneUser(t)
		l.send("shop", path)
	}
	require.NoError(t, l.desk.Wait(l.context(), 4))
}
