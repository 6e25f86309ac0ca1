package outbound

import "net"

// IsLoopback tells whether a URL's host is this machine, so that a secret can
// be sent to it without encryption.
func IsLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
