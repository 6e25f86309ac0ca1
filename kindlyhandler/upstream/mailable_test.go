package upstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/tidwall/gjson"
)

func TestIsMailable(t *testing.T) {
	for _, address := range []string{"me@example.com", "first.last+tag@sub.example.co.uk", "o'brien@example.ie", "a_b@xn--blbr-roah.no", "a@1.no"} {
		assert.True(t, isMailable(address), address)
	}
	for _, address := range []string{
		"", "me", "me@", "me@gmail", "me@localhost", "kåre@example.no", "me@blåbær.no", "me@[127.0.0.1]", "me@127.0.0.1", "me@example.c",
		`"a.b"@example.com`, "me@example..com", "me@.com", "me@-a.com", "me@a-.com", "me@a_b.com", "me@you@example.com",
		strings.Repeat("a", 65) + "@example.com", "me@" + strings.Repeat("a", 64) + ".com",
	} {
		assert.False(t, isMailable(address), address)
	}
}

// An address that a system refuses costs no ticket: it is in the text only.
func TestPreset_unmailable(t *testing.T) {
	for name, path := range map[string]string{
		"zendesk": "ticket.requester", "freshdesk": "email", "zammad": "customer_id", "intercom": "contacts.0.email",
		"request_tracker": "Requestor", "salesforce": "SuppliedEmail", "superoffice": "FromAddress",
	} {
		up := newUpstream(t, presetOptions(t, name, "https://desk.example"))
		for address, isThere := range map[string]bool{"ola@gmail.com": true, "ola@gmail": false, "kåre@gmail.com": false} {
			ticket := readTicket(t, "dialogue")
			ticket["customer"].(map[string]any)["email"] = address
			sent, err := up.Map(t.Context(), ticket)
			require.NoError(t, err)
			require.Equal(t, isThere, strings.Contains(gjson.GetBytes(sent.Body, path).Raw, address), "%s: %s", name, sent.Body)
			require.Contains(t, string(sent.Body), "Customer:", name)
			require.Contains(t, string(sent.Body), address, name)
			require.Equal(t, address, ticket["customer"].(map[string]any)["email"], "the ticket is changed")
		}
	}

	// Salesforce takes no more than 80 characters, and no part of an address.
	up := newUpstream(t, presetOptions(t, "salesforce", "https://desk.example"))
	ticket := readTicket(t, "dialogue")
	ticket["customer"].(map[string]any)["email"] = strings.Repeat("a", 60) + "@" + strings.Repeat("b", 60) + ".no"
	sent, err := up.Map(t.Context(), ticket)
	require.NoError(t, err)
	require.False(t, gjson.GetBytes(sent.Body, "SuppliedEmail").Exists())
}
