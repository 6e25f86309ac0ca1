package outbound

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
)

var (
	errTimeout  = errors.New("timeout")
	errCanceled = errors.New("cut off by a shutdown")
	errClosed   = errors.New("connection closed before the answer was complete")
	errBroken   = errors.New("the answer is not HTTP, or the connection broke")
)

// Describe returns an error that says what was wrong with a request, and
// quotes nothing of it: addresses can be secrets, and net/http's errors repeat
// what the other side sent.
func Describe(err error) error {
	var dns *net.DNSError
	var errno syscall.Errno
	var certificate *tls.CertificateVerificationError
	switch {
	case err == nil:
		return nil
	case IsTimeout(err):
		return errTimeout
	case errors.Is(err, context.Canceled):
		return errCanceled
	case errors.As(err, &dns):
		return errors.New("host name cannot be resolved")
	case errors.As(err, &certificate):
		return errors.New("certificate refused: " + certificateFault(certificate.Err))
	case errors.As(err, &errno):
		if op, ok := errors.AsType[*net.OpError](err); ok {
			return fmt.Errorf("%s: %w", op.Op, errno)
		}
		return errno
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return errClosed
	default:
		return errBroken
	}
}

// IsTimeout tells whether a request took too long.
func IsTimeout(err error) bool {
	var timeout net.Error
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded) ||
		errors.As(err, &timeout) && timeout.Timeout()
}

// NeverSent tells whether a request failed before any of it was sent.
func NeverSent(err error) bool {
	var dns *net.DNSError
	var op *net.OpError
	var certificate *tls.CertificateVerificationError
	return errors.As(err, &dns) || errors.As(err, &certificate) ||
		errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect")
}

// certificateFault says what is wrong with a certificate, without the names
// that are in it.
func certificateFault(err error) string {
	var host x509.HostnameError
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	switch {
	case errors.As(err, &host):
		return "it is for another host"
	case errors.As(err, &authority):
		return "it is signed by an unknown authority"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "it has expired or is not yet valid"
	default:
		return "it is not valid"
	}
}
