package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// trust returns the configuration of a client that trusts Caddy's internal CA,
// once the site at an address has its certificate.
func trust(t *testing.T, c *caddy, address string) *tls.Config {
	t.Helper()
	config := &tls.Config{RootCAs: x509.NewCertPool(), ServerName: "localhost"}
	c.eventually("the site has a certificate of the CA", func() bool {
		root, err := os.ReadFile(filepath.Join(c.data, "caddy", "pki", "authorities", "local", "root.crt"))
		if err != nil || !config.RootCAs.AppendCertsFromPEM(root) {
			return false
		}
		conn, err := tls.Dial("tcp", address, config)
		if err != nil {
			return false
		}
		return conn.Close() == nil
	})
	return config
}

// TestTLS sends webhooks by every version of HTTP to a site with a certificate
// of Caddy's internal CA.
func TestTLS(t *testing.T) {
	t.Parallel()
	s := newSides(t)
	address := freeAddress(t)
	_, port, err := net.SplitHostPort(address)
	require.NoError(t, err)
	https := "https://localhost:" + port
	front := freeAddress(t)
	c := start(t, "default_bind 127.0.0.1", site(https, "tls internal", "log", s.webhook("/kindly"))+
		// Caddy itself is the client that speaks HTTP/3.
		site("http://"+front, "reverse_proxy "+https+" {\n\t\ttransport http {\n\t\t\tversions 3\n\t\t\ttls_trust_pool pki_root local\n\t\t}\n\t}"))
	config := trust(t, c, address)

	for i, protocols := range []string{"http/1.1", "h2"} {
		transport := &http.Transport{TLSClientConfig: config.Clone(), ForceAttemptHTTP2: protocols == "h2"}
		t.Cleanup(transport.CloseIdleConnections)
		request, err := kindlytest.NewWebhookRequest(https+"/kindly", secret, kindlytest.DialogueWebhookFor(protocols))
		require.NoError(t, err)
		response, err := (&http.Client{Transport: transport}).Do(request)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		require.Equal(t, http.StatusOK, response.StatusCode)
		require.Equal(t, i+1, response.ProtoMajor)
	}
	s.accepted("http://"+front+"/kindly", kindlytest.DialogueWebhookFor("h3"))
	tickets := s.waitTickets(3)
	for i, chat := range []string{"http/1.1", "h2", "h3"} {
		require.Contains(t, string(tickets[i].Body), fmt.Sprintf(`"chat":{"id":%q`, chat))
	}
	c.waitFor(`"proto":"HTTP/3.0"`)
}
