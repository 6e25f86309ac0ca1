package kindlytest

import (
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// server is a plain HTTP/1.1 server on a free loopback port whose Close waits
// for nobody and leaves nothing behind.
type server struct {
	url     string
	closing chan struct{} // closed when Close begins

	http   http.Server
	served chan struct{}  // closed when http.Serve has returned
	conns  sync.WaitGroup // connections, and handlers that took theirs over
	once   sync.Once
}

// listen starts a server. Like httptest.NewServer, it panics if there is no
// loopback interface to listen on.
func listen(handler http.Handler) *server {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		var err6 error
		if listener, err6 = net.Listen("tcp6", "[::1]:0"); err6 != nil {
			panic(fmt.Sprintf("kindlytest: no loopback port to listen on: %v", err))
		}
	}
	s := &server{
		url:     "http://" + listener.Addr().String(),
		closing: make(chan struct{}),
		served:  make(chan struct{}),
	}
	s.http.Handler = handler
	s.http.ReadHeaderTimeout = time.Minute
	s.http.ConnState = s.track
	go func() {
		defer close(s.served)
		_ = s.http.Serve(listener) // always an error: the one that Close causes
	}()
	return s
}

// track counts connections. StateNew is reported by the goroutine of Serve, so
// that nothing is added once served is closed.
func (s *server) track(_ net.Conn, state http.ConnState) {
	switch state {
	case http.StateNew:
		s.conns.Add(1)
	case http.StateClosed, http.StateHijacked:
		s.conns.Done()
	default: // between its requests
	}
}

// close ends all requests, also hanging ones, and returns when their
// goroutines are done. Closing twice is allowed.
func (s *server) close() {
	s.once.Do(func() {
		close(s.closing)
		_ = s.http.Close()
		<-s.served
		// A connection that was accepted during the first Close is known
		// to the server only now.
		_ = s.http.Close()
	})
	s.conns.Wait()
}
