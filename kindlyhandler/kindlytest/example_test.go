package kindlytest_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
)

// A program between the two servers, reduced to its outline: it fetches the
// transcript and makes a ticket of it.
func Example() {
	kindly := kindlytest.NewKindly()
	defer kindly.Close()
	desk := kindlytest.NewHelpDesk()
	defer desk.Close()
	desk.FirstID = 4711

	program := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		req, err := http.NewRequest(http.MethodGet, kindly.URL+"/api/v1/chats/some-chat", http.NoBody)
		if err != nil {
			log.Panic(err)
		}
		req.Header.Set("Authorization", "Bearer "+kindly.APIKey)
		chat, err := http.DefaultClient.Do(req)
		if err != nil {
			log.Panic(err)
		}
		defer chat.Body.Close()
		answer, err := http.Post(desk.URL+"/tickets", "application/json", chat.Body)
		if err != nil {
			log.Panic(err)
		}
		defer answer.Body.Close()
		fmt.Fprintf(w, `{"reply": "Ticket created (%d)."}`, answer.StatusCode)
	}))
	defer program.Close()
	defer http.DefaultClient.CloseIdleConnections()

	res, err := kindly.Send(context.Background(), program.URL, "secret", kindlytest.DialogueWebhookFor("some-chat"))
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(res.Status, string(res.Body))
	for _, request := range kindly.Requests() {
		fmt.Println("asked for chat", request.ChatID)
	}
	for _, ticket := range desk.Tickets() {
		fmt.Println("ticket", ticket.ID)
	}
	// Output:
	// 200 {"reply": "Ticket created (201)."}
	// asked for chat some-chat
	// ticket 4711
}

// A help desk that is down for two requests, and then records a ticket without
// saying so.
func ExampleHelpDesk_FailNext() {
	desk := kindlytest.NewHelpDesk()
	defer desk.Close()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	desk.FailNext(2, kindlytest.Status(503, "Retry-After", "120"))
	desk.FailNext(1, kindlytest.Reset().AfterAccept())
	for range 4 {
		req, err := http.NewRequest(http.MethodPost, desk.URL, strings.NewReader(`{"subject":"Help"}`))
		if err != nil {
			log.Panic(err)
		}
		req.Header.Set("Idempotency-Key", "delivery-1")
		res, err := client.Do(req)
		if err != nil {
			fmt.Println("no answer")
			continue
		}
		body, err := io.ReadAll(res.Body)
		if err != nil {
			log.Panic(err)
		}
		res.Body.Close()
		fmt.Println(res.StatusCode, res.Header.Get("Retry-After"), strings.ReplaceAll(string(body), desk.URL, ""))
	}
	fmt.Println(desk.Attempts(), "attempts,", desk.Count(), "ticket,", desk.Repeats(), "repeat")
	// Output:
	// 503 120 {"error":"Service Unavailable"}
	// 503 120 {"error":"Service Unavailable"}
	// no answer
	// 200  {"id":1,"url":"/tickets/1"}
	// 4 attempts, 1 ticket, 1 repeat
}

// Waiting for tickets that a program delivers in the background.
func ExampleHelpDesk_Wait() {
	desk := kindlytest.NewHelpDesk()
	defer desk.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		for _, subject := range []string{"one", "two"} {
			res, err := client.Post(desk.URL, "text/plain", strings.NewReader(subject))
			if err != nil {
				log.Panic(err)
			}
			res.Body.Close()
		}
	}()

	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := desk.Wait(ctx, 2); err != nil {
		log.Panic(err)
	}
	for _, ticket := range desk.Tickets() {
		fmt.Println(ticket.ID, string(ticket.Body))
	}
	<-done
	// Output:
	// 1 one
	// 2 two
}

// The example payloads can be given to a handler without a network.
func ExampleNewWebhookRequest() {
	req, err := kindlytest.NewWebhookRequest("https://support.example.com/kindly", "examplekey", []byte(`{"foo":1,"bar":2}`))
	if err != nil {
		log.Panic(err)
	}
	fmt.Println(req.Header.Get("Kindly-HMAC"))
	fmt.Println(req.Header.Get("Kindly-HMAC-algorithm"))
	// Output:
	// uEeD0Q7eW9btdx6LFvvlpwkzQBWdbknsQkg1C27Cx7Q=
	// HMAC-SHA-256 (base64 encoded)
}
