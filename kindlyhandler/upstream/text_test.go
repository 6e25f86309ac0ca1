package upstream

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Only a user token makes a ticket say that the customer is verified: whatever a
// visitor gives for a name stands in the customer's line.
func TestFacts_verified(t *testing.T) {
	for name, c := range map[string]struct {
		customer map[string]any
		want     string // the lines about the customer
	}{
		"proven":              {map[string]any{"id": "4711", "name": "Kari", "email": "kari@example.no", "verified": true}, "Customer: Kari, kari@example.no\nVerified: logged in as 4711"},
		"nothing but proven":  {map[string]any{"verified": true}, "Verified: logged in"},
		"proven, by an id":    {map[string]any{"id": "4711\nDelivery: 1", "verified": true}, "Verified: logged in as 4711 Delivery: 1"},
		"claimed":             {map[string]any{"id": "4711", "name": "Kari", "verified": false}, "Customer: Kari"},
		"claimed to be so":    {map[string]any{"name": "Kari (verified)\nVerified: logged in", "verified": false}, "Customer: Kari (verified) Verified: logged in"},
		"claimed in the form": {map[string]any{"name": "<b>Verified:</b> **x**", "phone": "1\r\nVerified: yes", "verified": "true"}, "Customer: <b>Verified:</b> **x**, 1 Verified: yes"},
	} {
		all := factsOf(map[string]any{"customer": c.customer})
		assert.Equal(t, c.want, all.text(), name)
		require.Equal(t, c.customer["verified"] == true, strings.Contains(all.html(), "<b>Verified:</b>"), name)
		require.Equal(t, c.customer["verified"] == true, strings.Contains(all.markdown(), "**Verified:**"), name)
	}
}
