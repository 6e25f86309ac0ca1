package e2e

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"
)

// browser is a tab of Chromium.
type browser struct {
	t       *testing.T
	tab     context.Context
	dialogs atomic.Int32 // how often a page has called alert or the like
}

// newBrowser starts Chromium. The test is skipped where it is not installed.
func newBrowser(t *testing.T) *browser {
	t.Helper()
	b := &browser{t: t}
	options := append(chromedp.DefaultExecAllocatorOptions[:],
		chromedp.ExecPath(chromium(t)),
		chromedp.WindowSize(1280, 1800),
		chromedp.NoSandbox, // which root cannot use; all pages are the test's own
	)
	allocator, cancel := chromedp.NewExecAllocator(context.Background(), options...)
	t.Cleanup(cancel)
	b.tab, cancel = chromedp.NewContext(allocator)
	t.Cleanup(func() {
		if err := chromedp.Cancel(b.tab); err != nil {
			t.Errorf("ending Chromium: %v", err)
		}
		cancel()
	})
	dialogs := chromedp.Events(b.tab, page.JavascriptDialogOpening)
	go func() {
		for _, err := range dialogs {
			if err != nil {
				return
			}
			b.dialogs.Add(1)
			_, _ = chromedp.Call(b.tab, page.HandleJavaScriptDialog, page.HandleJavaScriptDialogParams{Accept: true})
		}
	}()
	return b
}

// chromium finds the program.
func chromium(t *testing.T) string {
	t.Helper()
	for _, name := range []string{"chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"} {
		if program, err := exec.LookPath(name); err == nil {
			return program
		}
	}
	t.Skip("Chromium is not installed")
	return ""
}

// act does something in the tab.
func act[T any](b *browser, action chromedp.Action[T]) T {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.tab, patience)
	defer cancel()
	result, err := chromedp.Run(ctx, action)
	require.NoError(b.t, err)
	return result
}

// open goes to a page and waits until it is there.
func (b *browser) open(url string) {
	b.t.Helper()
	act(b, chromedp.Navigate(url))
}

// read returns what a person reads in the first element of a selector.
func (b *browser) read(selector string) string {
	b.t.Helper()
	return act(b, chromedp.Text(chromedp.CSS(selector), chromedp.NodeVisible))
}

// screenshot saves the page, for people to look at: with -artifacts, it stays.
func (b *browser) screenshot(name string) {
	b.t.Helper()
	act(b, chromedp.Poll[bool](`document.getAnimations().length === 0 && !(window.jQuery && jQuery(":animated").length)`))
	image := act(b, chromedp.FullScreenshot(100))
	require.NoError(b.t, os.WriteFile(filepath.Join(b.t.ArtifactDir(), name), image, 0o600))
}
