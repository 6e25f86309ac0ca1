package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
)

// transcript is Kindly's answer, with chatID where the chat's id belongs: 4
// messages, 1.3 KB.
//
//go:embed transcript.json
var transcript []byte

// kindly simulates Kindly's Chat Transcript API.
type kindly struct {
	server
	before, after []byte // of the chat's id in the transcript
	served        atomic.Int64
}

func newKindly() (*kindly, error) {
	k := new(kindly)
	k.before, k.after, _ = bytes.Cut(transcript, []byte(chatID))
	return k, k.listen(k)
}

func (k *kindly) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, found := strings.CutPrefix(r.URL.Path, "/api/v1/chats/")
	switch {
	case r.Method != http.MethodGet || !found || len(id) != len(chatID):
		http.NotFound(w, r)
		return
	case r.Header.Get("Authorization") != "Bearer "+apiKey:
		http.Error(w, "wrong API key", http.StatusUnauthorized)
		return
	}
	k.served.Add(1)
	w.Header()["Content-Type"] = jsonType
	_, _ = w.Write(k.before)
	_, _ = io.WriteString(w, id)
	_, _ = w.Write(k.after)
}

// helpDesk simulates the system that tickets are created in.
type helpDesk struct {
	server
	tickets atomic.Int64
	keys    *keys // nil if nobody asks
}

func newHelpDesk(recordKeys bool) (*helpDesk, error) {
	d := new(helpDesk)
	if recordKeys {
		d.keys = &keys{seen: make(map[string]bool)}
	}
	return d, d.open()
}

// open lets it be reached, after close at the same address as before.
func (d *helpDesk) open() error { return d.listen(d) }

func (d *helpDesk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		http.Error(w, "ticket is incomplete", http.StatusBadRequest)
		return
	}
	if d.keys != nil {
		d.keys.add(r.Header.Get("Idempotency-Key"))
	}
	n := d.tickets.Add(1)
	w.Header()["Content-Type"] = jsonType
	w.WriteHeader(http.StatusCreated)
	fmt.Fprintf(w, `{"id":%d,"url":"https://desk.example.com/tickets/%d"}`, n, n)
}

// keys are the Idempotency-Keys that a help desk has seen.
type keys struct {
	mu                sync.Mutex
	seen              map[string]bool
	repeated, missing int
}

func (k *keys) add(key string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	switch {
	case key == "":
		k.missing++
	case k.seen[key]:
		k.repeated++
	default:
		k.seen[key] = true
	}
}

func (k *keys) check() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.missing > 0 || k.repeated > 0 {
		return fmt.Errorf("of the tickets, %d have no Idempotency-Key and %d repeat one", k.missing, k.repeated)
	}
	return nil
}

var jsonType = []string{"application/json"}

// server is an HTTP server on a loopback port.
type server struct {
	addr, url string
	http      *http.Server
}

// listen serves at a free port, after close at the same one again.
func (s *server) listen(handler http.Handler) error {
	listener, err := net.Listen("tcp", cmp.Or(s.addr, "127.0.0.1:0"))
	if err != nil {
		return err
	}
	s.addr = listener.Addr().String()
	s.url = "http://" + s.addr
	server := &http.Server{Handler: handler}
	s.http = server
	go func() { _ = server.Serve(listener) }() // ends with close
	return nil
}

// close lets nobody connect any more. Without a server it does nothing.
func (s *server) close() {
	if s.http != nil {
		_ = s.http.Close()
	}
}
