// Command receiver is the smallest API that takes tickets: it prints them, and
// makes one of however many requests have the same Idempotency-Key.
package main

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
	"unicode"

	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

// ticket has the fields of the ticket document that this program needs.
type ticket struct {
	Subject  string
	Customer struct{ Name, Email *string }
	// nil if the transcript could not be had; transcript_error says why.
	Transcript      *struct{ Text string }
	TranscriptError *string `json:"transcript_error"`
}

// answer tells kindly_webhook what became of a ticket, and the chat, where
// kindly_webhook leaves that to this program.
type answer struct {
	ID    int    `json:"id"`
	URL   string `json:"url"`
	Reply string `json:"reply"`
}

type receiver struct {
	base  string // of the tickets' addresses
	token string // that every request must carry, unless empty
	// signature, unless nil, verifies every request: that it comes from
	// kindly_webhook, in the last five minutes, as it was sent.
	signature *standardwebhooks.Webhook

	mu    sync.Mutex
	ids   map[string]int // by Idempotency-Key
	count int
}

func main() {
	listen := flag.String("listen", "127.0.0.1:8090", "the address to listen on")
	flag.Parse()
	listener, err := net.Listen("tcp", *listen)
	if err != nil {
		log.Fatal(err)
	}
	r := &receiver{
		base:  "http://" + listener.Addr().String() + "/tickets",
		token: os.Getenv("HELPDESK_TOKEN"),
		ids:   make(map[string]int),
	}
	if secret := os.Getenv("HELPDESK_SIGNATURE"); secret != "" {
		if r.signature, err = standardwebhooks.NewWebhook(secret); err != nil {
			log.Fatal("HELPDESK_SIGNATURE is not whsec_ and base64")
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /tickets", r.take)
	server := &http.Server{Handler: mux, ReadTimeout: 30 * time.Second}
	fmt.Println("taking tickets at", r.base)
	log.Fatal(server.Serve(listener))
}

// take takes a ticket.
func (r *receiver) take(w http.ResponseWriter, req *http.Request) {
	if !r.allowed(req) {
		http.Error(w, "wrong token", http.StatusUnauthorized) // pauses the upstream
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, 64<<20))
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge) // never again
		return
	}
	if err != nil {
		return // whoever sent it has gone
	}
	if r.signature != nil && r.signature.Verify(body, req.Header) != nil {
		http.Error(w, "wrong signature", http.StatusUnauthorized) // pauses the upstream
		return
	}
	var t ticket
	if err := json.Unmarshal(body, &t); err != nil {
		http.Error(w, "not a ticket", http.StatusBadRequest) // never again
		return
	}
	id, isNew := r.number(req.Header.Get("Idempotency-Key"))
	if isNew {
		show(id, &t)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(answer{
		ID:    id,
		URL:   fmt.Sprintf("%s/%d", r.base, id),
		Reply: fmt.Sprintf("Ticket %d created.", id),
	})
}

func (r *receiver) allowed(req *http.Request) bool {
	return r.token == "" || subtle.ConstantTimeCompare([]byte(req.Header.Get("Authorization")), []byte("Bearer "+r.token)) == 1
}

// number returns the ticket's number, and whether it is a new one. A real help
// desk keeps key and ticket in one transaction.
func (r *receiver) number(key string) (id int, isNew bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if id, ok := r.ids[key]; ok && key != "" {
		return id, false
	}
	r.count++
	r.ids[key] = r.count
	return r.count, true
}

func show(id int, t *ticket) {
	fmt.Printf("\nTicket %d: %s\nFrom: %s <%s>\n", id, printable(&t.Subject), printable(t.Customer.Name), printable(t.Customer.Email))
	if t.Transcript == nil {
		fmt.Println("No transcript:", printable(t.TranscriptError))
		return
	}
	fmt.Println(printable(&t.Transcript.Text))
}

// printable returns a text without what a terminal would obey: strangers wrote
// it.
func printable(s *string) string {
	if s == nil {
		return "unknown"
	}
	return strings.Map(func(r rune) rune {
		if r == '\n' || unicode.IsPrint(r) {
			return r
		}
		return unicode.ReplacementChar
	}, *s)
}
