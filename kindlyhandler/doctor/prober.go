package doctor

import (
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// maxAnswer is how much of an answer is read, in bytes.
const maxAnswer = 1 << 20

// Prober makes the requests of a check-up: each of them once, however many
// checks need its answer. The zero value is ready for use.
type Prober struct {
	mu      sync.Mutex
	made    map[request]*exchange
	offsets []time.Duration // of the answers' clocks, 0 being the local one
	shared  *http.Transport
}

// request is what makes two of them the same one.
type request struct {
	transport http.RoundTripper
	sum       [sha256.Size]byte
}

// exchange is a request, or a connection, and what became of it.
type exchange struct {
	once   sync.Once
	answer *Answer
	err    error
}

// Answer is what a server has answered.
type Answer struct {
	Status int
	Header http.Header
	// Body is at most the first 1 MiB.
	Body []byte
}

// Get makes a GET request with a header, unless it was made before. Redirects
// are not followed. The transport is nil for whoever has configured none. The
// error repeats nothing of the address.
func (p *Prober) Get(ctx context.Context, transport http.RoundTripper, r *http.Request) (*Answer, error) {
	e := p.exchange("get", transport, r)
	e.once.Do(func() { e.answer, e.err = p.get(ctx, p.orShared(transport), r) })
	return e.answer, e.err
}

func (p *Prober) orShared(transport http.RoundTripper) http.RoundTripper {
	if transport != nil {
		return transport
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared == nil {
		p.shared = outbound.NewTransport(1)
	}
	return p.shared
}

// Close lets go of idle connections.
func (p *Prober) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.shared != nil {
		p.shared.CloseIdleConnections()
	}
}

// exchange returns the one for a request, which may have been made before.
func (p *Prober) exchange(kind string, transport http.RoundTripper, r *http.Request) *exchange {
	if transport != nil && !reflect.ValueOf(transport).Comparable() {
		return new(exchange) // nobody can tell whether it was made
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s %q %q", kind, r.Host, r.URL.String())
	for _, name := range slices.Sorted(maps.Keys(r.Header)) {
		fmt.Fprintf(sum, " %q %q", name, r.Header[name])
	}
	key := request{transport: transport}
	sum.Sum(key.sum[:0])
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.made == nil {
		p.made = make(map[request]*exchange)
	}
	if p.made[key] == nil {
		p.made[key] = new(exchange)
	}
	return p.made[key]
}

func (p *Prober) get(ctx context.Context, transport http.RoundTripper, r *http.Request) (*Answer, error) {
	ctx, cancel := context.WithTimeout(ctx, Timeout)
	defer cancel()
	started := time.Now()
	response, err := transport.RoundTrip(r.WithContext(ctx))
	if err != nil {
		return nil, outbound.Describe(err)
	}
	defer response.Body.Close()
	if r.URL.Scheme == "https" {
		p.note(response.Header, started, time.Now())
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil {
		return nil, outbound.Describe(err)
	}
	return &Answer{Status: response.StatusCode, Header: response.Header, Body: body}, nil
}

// note keeps how far a server's clock is from this one. Its Date is a whole
// second between the request and the answer.
func (p *Prober) note(header http.Header, sent, received time.Time) {
	date, err := http.ParseTime(strings.TrimSpace(header.Get("Date")))
	if err != nil {
		return
	}
	var offset time.Duration
	switch last := date.Add(time.Second); {
	case last.Before(sent):
		offset = last.Sub(sent)
	case date.After(received):
		offset = date.Sub(received)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offsets = append(p.offsets, offset)
}

// maxOffset is how far the clock may be off: chat_auth allows so much, and
// receivers of signed requests a few minutes.
const maxOffset = time.Minute

// Clock compares this machine's clock with those of the servers that have
// answered by https. One server whose clock agrees is enough: the others are
// wrong then. What depends on the clock is for the message.
func (p *Prober) Clock(depends ...string) Finding {
	p.mu.Lock()
	offsets := slices.Clone(p.offsets)
	p.mu.Unlock()
	if len(offsets) == 0 {
		return Finding{Check: "clock", Status: Unknown, Message: "no server was asked by https that could have told the time"}
	}
	nearest := slices.MinFunc(offsets, func(a, b time.Duration) int { return int(a.Abs() - b.Abs()) })
	if nearest.Abs() <= maxOffset {
		return Finding{Check: "clock", Status: OK, Message: "it agrees with that of a server that was asked"}
	}
	f := Finding{
		Check:   "clock",
		Status:  Warning,
		Message: fmt.Sprintf("it is %s slow", nearest.Abs().Round(time.Second)),
		Fix:     "set this machine's clock, and keep it right by NTP",
	}
	if nearest < 0 {
		f.Message = fmt.Sprintf("it is %s fast", nearest.Abs().Round(time.Second))
	}
	f.Message += ", by the Date of the servers that were asked"
	if len(depends) > 0 {
		f.Status = Problem
		f.Message += "; " + strings.Join(depends, " and ") + " depend on it"
		if len(depends) == 1 {
			f.Message = strings.Replace(f.Message, " depend on it", " depends on it", 1)
		}
	}
	return f
}
