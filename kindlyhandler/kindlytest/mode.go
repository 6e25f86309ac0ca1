package kindlytest

import (
	"fmt"
	"net/http"
	"time"
)

// Mode is a way in which a simulated server treats a request. The zero Mode is
// the usual, healthy way. Modes are values: they can be kept, copied and used
// for any number of requests and servers.
//
// [Status], [Body], [Hang] and [Reset] take the place of the usual treatment:
// a help desk records no ticket, unless [Mode.AfterAccept] says so. [Delay],
// [Drip], [Truncate] and [Huge] spoil the usual answer: a help desk has
// recorded the ticket when the answer begins.
//
// With all of them but Reset the request is read in full first, so that a
// client always gets to see the answer, and a client that leaves is noticed.
type Mode struct {
	apply  func(*exchange) // nil: the usual treatment
	accept bool            // the usual treatment comes first, only its answer is replaced
	unread bool            // the request's body is not read
}

// AfterAccept returns the mode that accepts the request and only then fails
// in m's way, so that the client cannot know whether its ticket was recorded:
//
//	desk.Fail(kindlytest.Reset().AfterAccept())
//
// Delay(d).AfterAccept() records the ticket at once and answers late. For
// Drip, Truncate and Huge it makes no difference.
func (m Mode) AfterAccept() Mode {
	m.accept, m.unread = true, false
	return m
}

// Status answers with a status code and a JSON object that repeats its text.
// Header names and values follow in turn:
//
//	Status(503, "Retry-After", "120")
//	Status(429, "Retry-After", at.UTC().Format(http.TimeFormat))
//	Status(301, "Location", elsewhere)
//
// It panics if the code is not a final status (200 to 999) or if a header has
// no value.
func Status(code int, header ...string) Mode {
	return Body(code, jsonType, `{"error":"`+http.StatusText(code)+`"}`, header...)
}

// Body answers with a status code and an arbitrary body, say an HTML page
// where JSON is due. Header names and values follow as in [Status], which see
// for what makes it panic.
func Body(code int, contentType, body string, header ...string) Mode {
	if code < 200 || code > 999 {
		panic(fmt.Sprintf("kindlytest: %d is no final HTTP status", code))
	}
	if len(header)%2 != 0 {
		panic(fmt.Sprintf("kindlytest: header %q has no value", header[len(header)-1]))
	}
	a := answer{status: code, contentType: contentType, body: []byte(body), header: make(http.Header)}
	for i := 0; i < len(header); i += 2 {
		a.header.Add(header[i], header[i+1])
	}
	return Mode{apply: func(x *exchange) { a.write(x.w) }}
}

// Hang never answers. It ends, by closing the connection, when the client goes
// away or the server is closed.
func Hang() Mode {
	return Mode{apply: func(x *exchange) {
		x.wait(nil)
	}}
}

// Delay waits and then proceeds as usual. If the client goes away meanwhile,
// nothing was accepted.
func Delay(d time.Duration) Mode {
	return Mode{apply: func(x *exchange) {
		x.wait(time.After(d))
		x.usual().write(x.w)
	}}
}

// Drip sends the usual answer's header at once and its body byte by byte, with
// an interval before each.
func Drip(interval time.Duration) Mode {
	return Mode{apply: func(x *exchange) {
		a := x.usual()
		a.writeHeader(x.w)
		x.flush()
		for i := range a.body {
			x.wait(time.After(interval))
			x.write(a.body[i : i+1])
			x.flush()
		}
	}}
}

// Truncate announces the length of the usual answer, sends only the first n
// bytes of its body, and closes the connection. At least the last byte is
// always missing.
func Truncate(n int) Mode {
	return Mode{apply: func(x *exchange) {
		a := x.usual()
		a.writeHeader(x.w)
		x.write(a.body[:max(0, min(n, len(a.body)-1))])
		x.flush()
		x.abort()
	}}
}

// Huge lets white space precede the usual answer's body, n bytes in all
// (never less than the body has). It stays the JSON that it was, but nobody
// gets to it without reading everything before. The length is not announced.
func Huge(n int64) Mode {
	return Mode{apply: func(x *exchange) {
		a := x.usual()
		a.unmeasured = true
		a.writeHeader(x.w)
		for padding := n - int64(len(a.body)); padding > 0; padding -= int64(len(blanks)) {
			x.write(blanks[:min(padding, int64(len(blanks)))])
		}
		x.write(a.body)
	}}
}

// Reset resets the connection (RST) without having read the request's body.
// With [Mode.AfterAccept] it does so after the request was read and accepted.
//
// Mind that an http.Transport repeats a request by itself if the connection
// breaks before the answer's first byte, the connection was not new, and the
// request is a GET or has an Idempotency-Key: use FailNext with a large enough
// n, Fail, or a client with DisableKeepAlives where the count matters.
func Reset() Mode {
	return Mode{unread: true, apply: func(x *exchange) {
		x.reset()
	}}
}
