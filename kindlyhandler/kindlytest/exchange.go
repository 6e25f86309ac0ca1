package kindlytest

import (
	"bytes"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"strconv"
	"time"
)

const (
	jsonType = "application/json"

	// maxRequest bounds what is read of a request's body.
	maxRequest = 64 << 20
)

// blanks is what Huge is made of.
var blanks = bytes.Repeat([]byte(" "), 32<<10)

// answer is an HTTP response that was not sent yet.
type answer struct {
	status      int
	contentType string
	header      http.Header // beside the content type and length; wins over them
	body        []byte
	unmeasured  bool // no Content-Length
}

func (a answer) writeHeader(w http.ResponseWriter) {
	header := w.Header()
	header.Set("Content-Type", a.contentType)
	if !a.unmeasured && a.hasBody() {
		header.Set("Content-Length", strconv.Itoa(len(a.body)))
	}
	maps.Copy(header, a.header)
	w.WriteHeader(a.status)
}

func (a answer) write(w http.ResponseWriter) {
	a.writeHeader(w)
	if a.hasBody() {
		_, _ = w.Write(a.body) // an error means that the client has left
	}
}

func (a answer) hasBody() bool {
	return a.status != http.StatusNoContent && a.status != http.StatusNotModified
}

// refusal is an answer in the form that both servers use for errors.
func refusal(status int, message string) answer {
	return answer{status: status, contentType: jsonType, body: []byte(`{"error":` + quote(message) + `}`)}
}

// exchange is one request under a mode.
type exchange struct {
	server *server
	w      http.ResponseWriter
	r      *http.Request
	accept func() answer

	accepted bool
	answer   answer
}

// handle treats a request as mode demands. accept is what the server usually
// does; it returns the usual answer and is called at most once.
func (s *server) handle(w http.ResponseWriter, r *http.Request, mode Mode, accept func() answer) {
	if mode.apply == nil {
		accept().write(w)
		return
	}
	x := &exchange{server: s, w: w, r: r, accept: accept}
	if mode.accept {
		x.usual()
	}
	mode.apply(x)
}

// usual accepts the request, if that has not happened yet, and returns the
// usual answer to it.
func (x *exchange) usual() answer {
	if !x.accepted {
		x.accepted = true
		x.answer = x.accept()
	}
	return x.answer
}

// wait returns when until fires. If the client or the server goes away first,
// it ends the request instead.
func (x *exchange) wait(until <-chan time.Time) {
	select {
	case <-until:
	case <-x.r.Context().Done():
		x.abort()
	case <-x.server.closing:
		x.abort()
	}
}

func (x *exchange) write(p []byte) {
	if _, err := x.w.Write(p); err != nil {
		x.abort()
	}
}

func (x *exchange) flush() {
	if err := http.NewResponseController(x.w).Flush(); err != nil {
		x.abort()
	}
}

// abort ends the request and closes its connection, whatever was sent so far.
func (x *exchange) abort() {
	panic(http.ErrAbortHandler)
}

// reset closes the connection such that the peer sees a reset.
func (x *exchange) reset() {
	// A connection that was taken over no longer counts, its handler does.
	x.server.conns.Add(1)
	defer x.server.conns.Done()
	conn, _, err := http.NewResponseController(x.w).Hijack()
	if err != nil {
		x.abort()
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// readBody reads a request's body, and keeps it unless it is to be discarded.
// If that fails it has answered the request, and returns false.
func readBody(w http.ResponseWriter, r *http.Request, discard bool) ([]byte, bool) {
	if r.Body == http.NoBody {
		return nil, true
	}
	limited := http.MaxBytesReader(w, r.Body, maxRequest)
	var body bytes.Buffer
	var err error
	if discard {
		_, err = io.Copy(io.Discard, limited)
	} else {
		if 0 < r.ContentLength && r.ContentLength <= 1<<20 {
			body.Grow(int(r.ContentLength) + bytes.MinRead)
		}
		_, err = body.ReadFrom(limited)
	}
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		refusal(http.StatusRequestEntityTooLarge, "the body is too large").write(w)
	case err != nil:
		refusal(http.StatusBadRequest, "the body cannot be read").write(w)
	}
	return body.Bytes(), err == nil
}
