// Package outbound has what the requests that we make ourselves share: the
// default transport, bounded reading of what comes back, and errors that can
// be logged.
package outbound

import (
	"net"
	"net/http"
	"time"
)

// NewTransport returns the transport for requests to one host, with up to the
// given number of idle connections to it.
func NewTransport(idle int) *http.Transport {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		ForceAttemptHTTP2:   true,
		MaxIdleConnsPerHost: idle,
		IdleConnTimeout:     90 * time.Second,
		TLSHandshakeTimeout: 5 * time.Second,
		// A ticket and a transcript of usual size in one system call each.
		WriteBufferSize:        16 << 10,
		ReadBufferSize:         16 << 10,
		MaxResponseHeaderBytes: 64 << 10,
	}
}
