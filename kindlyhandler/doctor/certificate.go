package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"syscall"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// soon is when the end of a certificate is near: it should have been renewed by
// then. One that lives for less than eight weeks in all is renewed later; for it
// the last quarter of its life is near.
const soon = 14 * 24 * time.Hour

// Certificate checks the certificate that an address, host and port, shows to who
// asks for a name: as Kindly will, by the authorities that this machine trusts if
// roots is nil.
func Certificate(ctx context.Context, address, name string, roots *x509.CertPool, now time.Time) Finding {
	f := Finding{Check: "certificate " + name}
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	tcp, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if errors.Is(err, syscall.ECONNREFUSED) {
		f.Status, f.Message = Unknown, "nothing listens at "+address+": it can be checked when the server runs"
		return f
	}
	if err != nil {
		f.Status, f.Message = Unknown, fmt.Sprintf("%s cannot be reached from here: %v", address, outbound.Describe(err))
		return f
	}
	defer tcp.Close()
	conn := tls.Client(tcp, &tls.Config{
		ServerName: name,
		RootCAs:    roots,
		Time:       func() time.Time { return now },
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
	})
	if err := conn.HandshakeContext(ctx); err != nil {
		f.Status = Problem
		f.Message, f.Fix = handshakeFault(err)
		return f
	}
	leaf := conn.ConnectionState().PeerCertificates[0]
	left := leaf.NotAfter.Sub(now)
	if left < min(soon, leaf.NotAfter.Sub(leaf.NotBefore)/4) {
		f.Status = Warning
		f.Message = fmt.Sprintf("it ends on %s, in %s", leaf.NotAfter.UTC().Format("2006-01-02 15:04 UTC"), days(left))
		f.Fix = "it should have been renewed by now: look for the reason in the server's log"
		return f
	}
	f.Status, f.Message = OK, "it is good until "+leaf.NotAfter.UTC().Format("2006-01-02")
	return f
}

func days(d time.Duration) string {
	if d < 48*time.Hour {
		return d.Round(time.Hour).String()
	}
	return fmt.Sprintf("%d days", d/(24*time.Hour))
}

func handshakeFault(err error) (message, fix string) {
	var refused *tls.CertificateVerificationError
	var authority x509.UnknownAuthorityError
	switch {
	case errors.As(err, &refused) && errors.As(refused.Err, &authority):
		return outbound.Describe(err).Error(), "Kindly has to trust it: use a certificate of a public authority (`tls internal` is for trials)"
	case errors.As(err, &refused):
		return outbound.Describe(err).Error(), "look for the reason in the server's log: Caddy renews certificates and gets them for the names of its sites"
	case outbound.IsTimeout(err):
		return "the TLS handshake takes too long", "look for the reason in the server's log"
	default:
		return "there is no TLS handshake: the server has no certificate for the name, or something else listens there", "look for the reason in the server's log"
	}
}
