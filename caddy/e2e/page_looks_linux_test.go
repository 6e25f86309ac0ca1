package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/accessibility"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// TestPageLooks proves that nothing is wider than the page, whatever its width,
// and all of it readable, by eye and by a screen reader, and leaves pictures for
// people to look at.
func TestPageLooks(t *testing.T) {
	t.Parallel()
	b := newBrowser(t)
	s := newSides(t)
	down := kindlytest.NewHelpDesk()
	t.Cleanup(down.Close)
	address := freeAddress(t)
	c := start(t, "", site("http://"+address, s.webhook("/kindly support"), s.webhook("/sales sales"), s.webhook("/orders orders-and-returns",
		"upstream "+down.URL+"/tickets {\n\t\t\tname archive\n\t\t}")))
	url := "http://" + address
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("5a3a38dfd923ba4238c70c01"))
	s.accepted(url+"/kindly", kindlytest.TicketWebhookFor("ticket.created", "637c8362ed96928c0ad3dcee"))
	down.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	for i := range 6 {
		s.accepted(url+"/orders", kindlytest.DialogueWebhookFor(fmt.Sprintf("5a3a38dfd923ba4238c70c1%d", i)))
	}
	s.desk.Fail(kindlytest.Status(http.StatusUnauthorized))
	s.accepted(url+"/sales", kindlytest.DialogueWebhookFor("5a3a38dfd923ba4238c70c20"))
	s.desk.Fail(kindlytest.Status(http.StatusUnprocessableEntity))
	s.chat("5a3a38dfd923ba4238c70c30", "Hi, my parcel has not arrived, and tracking says nothing since Monday. "+hostile,
		"I am sorry to hear that. What is your email?", "me@example.com\n\nCan somebody please call me?", "OK, creating ticket now.", strings.Repeat("no", 200))
	s.accepted(url+"/kindly", kindlytest.DialogueWebhookFor("5a3a38dfd923ba4238c70c30"))
	id := c.list("--state", "dead")[0].ID

	b.mutters()
	b.open(startPage(t, c.admin))
	for _, view := range []struct {
		name, do, ready string
		heard           func(*testing.T, map[string][]string)
	}{
		{"overview", `location.hash = '#/'`, `document.querySelectorAll('#deliveries tbody tr').length > 5`, func(t *testing.T, heard map[string][]string) {
			require.Equal(t, []string{"Kindly deliveries"}, heard["RootWebArea"])
			require.Equal(t, []string{"Kindly deliveries", "Upstreams", "Deliveries"}, heard["heading"])
			require.Equal(t, []string{"Upstreams", "Deliveries"}, heard["table"])
			require.Equal(t, []string{
				"Webhook, upstream", "Condition", "Waiting", "Dead", "Delivered", "Action",
				"Received", "Webhook, upstream", "State", "Attempts", "Chat", "Action",
			}, heard["columnheader"])
			require.Len(t, heard["rowheader"], 4+16)
			require.Len(t, heard["row"], 1+4+1+16)
			require.Contains(t, heard["button"], "Pause sales, default")
			require.Contains(t, heard["button"], "Retry delivery "+id)
			require.Equal(t, []string{"State", "Webhook, upstream"}, heard["combobox"])
			require.Equal(t, []string{"Chat id"}, heard["textbox"])
			for _, landmark := range []string{"banner", "main", "search", "status"} {
				require.Len(t, heard[landmark], 1, landmark)
			}
		}},
		{"delivery", `location.hash = '#/deliveries/` + id + `'`, `document.querySelectorAll('.messages li').length === 5`, func(t *testing.T, heard map[string][]string) {
			require.Equal(t, []string{"Delivery " + id}, heard["RootWebArea"])
			require.Equal(t, []string{"Kindly deliveries", "Delivery " + id, "About it", "What happened", "The chat", "The ticket that will be sent"}, heard["heading"])
			require.Equal(t, []string{"Retry delivery " + id, "Drop… delivery " + id}, heard["button"])
		}},
		{"dialog", `document.querySelector('#delivery [data-action="drop"]').click(); tell('That failed: nothing was dropped.')`, `document.getElementById('confirm').open`, func(t *testing.T, heard map[string][]string) {
			require.Equal(t, []string{"Drop this delivery?"}, heard["dialog"])
			require.Equal(t, []string{"Keep it", "Drop it"}, heard["button"])
		}},
	} {
		act(b, chromedp.Evaluate[any](view.do))
		b.until(view.ready)
		for _, width := range []int64{360, 800, 1600} {
			for _, scheme := range []string{"light", "dark"} {
				act(b, chromedp.EmulateViewport(width, 900))
				act(b, chromedp.Func(func(ctx context.Context, _ *chromedp.Target) error {
					_, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{
						Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}},
					})
					return err
				}))
				wide := act(b, chromedp.Evaluate[int64](`document.documentElement.scrollWidth`))
				require.LessOrEqual(t, wide, width, view.name)
				require.Empty(t, act(b, chromedp.Evaluate[[]string](faint)), "%s, %s", view.name, scheme)
				view.heard(t, b.heard())
				b.screenshot(fmt.Sprintf("%s-%d-%s.png", view.name, width, scheme))
			}
		}
	}
}

// faint finds text whose contrast to what is behind it is below 4.5, as WCAG
// 2.2 reckons it (1.4.3).
const faint = `(() => {
	const numbers = (colour) => colour.match(/[\d.]+/g).map(Number);
	const luminance = (colour) => numbers(colour).slice(0, 3)
		.map((c) => c / 255).map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
		.reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
	const behind = (e) => {
		const colour = getComputedStyle(e).backgroundColor;
		return (numbers(colour)[3] ?? 1) > 0 || e.parentElement === null ? colour : behind(e.parentElement);
	};
	return [...document.querySelectorAll('body *')]
		.filter((e) => e.checkVisibility() && [...e.childNodes].some((n) => n.nodeType === Node.TEXT_NODE && n.data.trim() !== ''))
		.filter((e) => {
			const [dark, light] = [luminance(getComputedStyle(e).color), luminance(behind(e))].sort((a, b) => a - b);
			return (light + 0.05) / (dark + 0.05) < 4.5;
		})
		.map((e) => e.outerHTML.slice(0, 100));
})()`

// heard returns the names that a screen reader reads out, by role. Whatever one
// can act on must have one.
func (b *browser) heard() map[string][]string {
	b.t.Helper()
	tree, err := chromedp.Call(b.tab, accessibility.GetFullAXTree, accessibility.GetFullAXTreeParams{})
	require.NoError(b.t, err)
	names := make(map[string][]string)
	for _, node := range tree.Nodes {
		if node.Ignored || node.Role == nil || node.Name == nil {
			continue
		}
		var role, name string
		require.NoError(b.t, json.Unmarshal(node.Role.Value, &role))
		require.NoError(b.t, json.Unmarshal(node.Name.Value, &name))
		names[role] = append(names[role], name)
	}
	for _, role := range []string{"button", "link", "checkbox", "combobox", "textbox"} {
		require.NotContains(b.t, names[role], "", role)
	}
	return names
}
