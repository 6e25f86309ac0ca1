// Package doctor is what checks of a configuration against the world have in
// common: what they find, and requests and connections that do no harm. What is
// asked of whom is decided where it is known: packages kindlyhandler, upstream
// and the stores.
package doctor

import "time"

// Timeout is how long a request or a connection may take.
const Timeout = 10 * time.Second

// Status is what a check has come to.
type Status string

const (
	// OK: it was seen to work.
	OK Status = "ok"
	// Unknown: nobody can know without doing harm, or not now. It is no fault.
	Unknown Status = "unknown"
	// Warning: it works, or may work, but somebody should know.
	Warning Status = "warning"
	// Problem: tickets would be missing, late or unverified.
	Problem Status = "problem"
)

// Finding is the result of a check. Its texts have no secret in them, and of
// addresses only the host.
type Finding struct {
	// Check names what was checked, by the name that the configuration has for it.
	Check  string `json:"check"`
	Status Status `json:"status"`
	// Message says what was found, Fix what to do about it and where.
	Message string `json:"message"`
	Fix     string `json:"fix,omitempty"`
}
