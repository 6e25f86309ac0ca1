package kindlytest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// maxResponse bounds the answer to a webhook. Kindly documents no limit.
const maxResponse = 1 << 20

// Response is what a webhook was answered with.
type Response struct {
	Status int
	Header http.Header
	// Body is the whole body, at most 1 MiB.
	Body []byte
}

// newClient returns the client by which webhooks are sent: straight to their
// address, on as many connections as there are concurrent calls, and without
// following redirects.
func newClient() *http.Client {
	return &http.Client{
		Transport: &http.Transport{
			MaxIdleConnsPerHost: 1024,
			DisableCompression:  true,
			ForceAttemptHTTP2:   true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

// Send posts a webhook to url as Kindly does: see [NewWebhookRequest].
// Every answer is a Response, whatever its status. It is an error if there is
// none before ctx ends, if it breaks off, or if its body exceeds 1 MiB. Kindly
// documents neither a timeout nor repetitions, so there are none here.
func (k *Kindly) Send(ctx context.Context, url, secret string, body []byte) (Response, error) {
	req, err := newWebhookRequest(ctx, url, secret, body)
	if err != nil {
		return Response{}, err
	}
	return k.Do(req)
}

// Do sends a request that was made by [NewWebhookRequest] and then changed,
// say by [ForwardToken] or by a wrong signature. Response and error are as for
// [Kindly.Send].
func (k *Kindly) Do(req *http.Request) (Response, error) {
	res, err := k.do(req)
	if err != nil {
		return Response{}, fmt.Errorf("sending the webhook: %w", err)
	}
	return res, nil
}

// Handshake asks the webhook at url for challenge as Kindly does when a ticket
// webhook is saved ("Ticket webhooks (BETA)"): by an unsigned GET with the
// parameters verify_token and challenge. The webhook is expected to answer 200
// with the challenge as plain text, or 401 if the token is not its own. The
// error, if any, is as for [Kindly.Send], and does not contain the token.
func (k *Kindly) Handshake(ctx context.Context, webhook, verifyToken, challenge string) (Response, error) {
	u, err := url.Parse(webhook)
	if err != nil {
		return Response{}, fmt.Errorf("making the handshake request: %w", withoutURL(err))
	}
	query := u.Query()
	query.Set("verify_token", verifyToken)
	query.Set("challenge", challenge)
	u.RawQuery = query.Encode()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), http.NoBody)
	if err != nil {
		return Response{}, fmt.Errorf("making the handshake request: %w", withoutURL(err))
	}
	res, err := k.do(req)
	if err != nil {
		return Response{}, fmt.Errorf("handshake: %w", err)
	}
	return res, nil
}

func (k *Kindly) do(req *http.Request) (Response, error) {
	res, err := k.Client.Do(req)
	if err != nil {
		return Response{}, withoutURL(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, maxResponse+1))
	if err != nil {
		return Response{}, fmt.Errorf("reading the answer: %w", err)
	}
	if len(body) > maxResponse {
		return Response{}, fmt.Errorf("the answer exceeds %d bytes", maxResponse)
	}
	return Response{Status: res.StatusCode, Header: res.Header, Body: body}, nil
}

// withoutURL returns the reason of a failed request without its URL, which can
// contain a token.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
