// Package transfer carries deliveries from one [delivery.Store] to another, in
// a file of JSON Lines:
//
//	{"format":"kindly-deliveries","version":1}
//	{"id":"0198f3c2-7a10-7c3e-9d54-2f6a1b0c8e77","name":"support",…}
//	…
//	{"deliveries":4711}
//
// The first line says what it is, the last one how many deliveries there are,
// so that a file that is cut off is noticed. Between them is a delivery a line
// with all that is kept of it, in the order of their ids, which is that in
// which they were accepted; those of one webhook are together. Texts are
// strings, or {"base64": …} where they are no UTF-8. Times are RFC 3339, in UTC,
// with nanoseconds; what is zero or empty is left out.
//
// Such a file has what people wrote in chats.
package transfer

import "fmt"

const (
	// Format is how the first line calls the format, Version which one it is.
	Format  = "kindly-deliveries"
	Version = 1

	// MaxLine is how long a line may be, in bytes: more than twice what a
	// webhook and a transcript can have together.
	MaxLine = 256 << 20
)

type header struct {
	Format  string `json:"format"`
	Version int    `json:"version"`
}

type trailer struct {
	Deliveries int `json:"deliveries"`
}

// FormatError says why a file cannot be read on.
type FormatError struct {
	Line int
	What string
}

func (e *FormatError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.What) }

// LineError says why a delivery cannot be taken over. Those in other lines can.
// It has nothing of what people wrote.
type LineError struct {
	Line int    `json:"line"`
	Why  string `json:"error"`
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %s", e.Line, e.Why) }
