package kindlyhandler_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/memory"
)

// A webhook handler in a Go server of one's own, between a simulated Kindly
// and a simulated help desk.
func Example() {
	kindly := kindlytest.NewKindly()
	defer kindly.Close()
	desk := kindlytest.NewHelpDesk()
	defer desk.Close()
	desk.FirstID = 4711

	handler, err := kindlyhandler.New(kindlyhandler.Options{
		Secrets:       []string{"examplekey"},
		Transcript:    &kindlyhandler.TranscriptOptions{API: kindly.URL, APIKey: kindly.APIKey},
		Upstreams:     []kindlyhandler.UpstreamOptions{{URL: desk.URL}},
		RespondWithin: kindlyhandler.DefaultRespondWithin,
		Reply: kindlyhandler.Texts{
			"":   "Ticket {kindly.ticket.id} created. We will write to {kindly.customer.email}.",
			"nb": "Sak {kindly.ticket.id} er opprettet. Vi skriver til {kindly.customer.email}.",
		},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handler.Close()

	// The queue keeps tickets until the help desk has taken them, here as long
	// as the process lives.
	queue := delivery.NewDispatcher(memory.New(memory.Options{}))
	defer queue.Close()
	queue.Push(handler.Lanes())
	handler.Connect(queue)

	mux := http.NewServeMux()
	mux.Handle("/kindly", handler)
	server := httptest.NewServer(mux)
	defer server.Close()

	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	answer, err := kindly.Send(ctx, server.URL+"/kindly", "examplekey", kindlytest.DialogueWebhook())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, string(answer.Body))

	forged, err := kindly.Send(ctx, server.URL+"/kindly", "a guess", kindlytest.DialogueWebhook())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(forged.Status)
	fmt.Println(desk.Count(), "ticket")
	// Output:
	// 200 {"reply":"Ticket 4711 created. We will write to me@example.com."}
	// 401
	// 1 ticket
}

// In front of a handler of one's own, which gets the ticket instead of the
// webhook: nothing is stored.
func ExampleHandler_Prepare() {
	kindly := kindlytest.NewKindly()
	defer kindly.Close()
	handler, err := kindlyhandler.New(kindlyhandler.Options{
		Secrets:    []string{"examplekey"},
		Transcript: &kindlyhandler.TranscriptOptions{API: kindly.URL, APIKey: kindly.APIKey},
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer handler.Close()

	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		prepared, _, err := handler.Prepare(w, r)
		if refused, ok := errors.AsType[*kindlyhandler.Error](err); ok {
			http.Error(w, refused.Error(), refused.Status)
			return
		}
		if prepared == nil { // answered already
			return
		}
		var ticket kindlyhandler.Ticket
		if err := json.NewDecoder(r.Body).Decode(&ticket); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		email, _ := prepared.Placeholder("kindly.customer.email")
		fmt.Fprintf(w, `{"reply":"'%s' by %s, %d messages"}`, ticket.Subject, email, len(ticket.Messages))
	}))
	defer server.Close()

	answer, err := kindly.Send(context.Background(), server.URL, "examplekey", kindlytest.DialogueWebhook())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(answer.Status, string(answer.Body))
	// Output: 200 {"reply":"'create ticket' by me@example.com, 4 messages"}
}
