package kindlyhandler_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/kindlytest"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/store/bolt"
)

// serve answers webhooks until use returns, and keeps in a file what is not
// delivered by then.
func serve(path string, o kindlyhandler.Options, use func(url string)) error {
	handler, err := kindlyhandler.New(o)
	if err != nil {
		return err
	}
	defer handler.Close()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	store, err := bolt.Open(bolt.Options{Path: path})
	if err != nil {
		return errors.Join(err, listener.Close())
	}
	queue := delivery.NewDispatcher(store)
	queue.Push(handler.Lanes())
	handler.Connect(queue)
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 10 * time.Second}
	go server.Serve(listener)

	use("http://" + listener.Addr().String())

	// First the server, so that every webhook is answered; then the attempts
	// that are under way; then the store, which Close closes.
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	err = server.Shutdown(ctx)
	queue.Shutdown(ctx)
	return errors.Join(err, queue.Close())
}

// With a store in a file, what was accepted outlives the process: here, a
// webhook comes while the help desk is down, and its ticket goes out after the
// next start.
func Example_durable() {
	kindly := kindlytest.NewKindly()
	defer kindly.Close()
	desk := kindlytest.NewHelpDesk()
	defer desk.Close()
	dir, err := os.MkdirTemp("", "kindly")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)

	path := filepath.Join(dir, "deliveries.db")
	options := kindlyhandler.Options{
		Secrets:       []string{"examplekey"},
		Transcript:    &kindlyhandler.TranscriptOptions{API: kindly.URL, APIKey: kindly.APIKey},
		Upstreams:     []kindlyhandler.UpstreamOptions{{URL: desk.URL}},
		RespondWithin: kindlyhandler.DefaultRespondWithin,
		ReplyPending:  kindlyhandler.Texts{"": "We have your request."},
	}
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()

	desk.Fail(kindlytest.Status(http.StatusServiceUnavailable))
	if err := serve(path, options, func(url string) {
		answer, err := kindly.Send(ctx, url, "examplekey", kindlytest.DialogueWebhook())
		fmt.Println(answer.Status, string(answer.Body), err)
	}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(desk.Count(), "tickets")

	desk.Recover()
	if err := serve(path, options, func(string) {
		if err := desk.Wait(ctx, 1); err != nil {
			fmt.Println(err)
		}
	}); err != nil {
		fmt.Println(err)
	}
	fmt.Println(desk.Count(), "ticket")
	// Output:
	// 200 {"reply":"We have your request."} <nil>
	// 0 tickets
	// 1 ticket
}
