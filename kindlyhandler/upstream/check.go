package upstream

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// Check finds out how far the upstream would take a ticket, without sending one:
// by a token, if OAuth2 gets them; then by the preset's request for that, or
// without one by a connection on which nothing is sent. The header is what every
// request has in addition. The check's name is that of the findings.
func (up *Upstream) Check(ctx context.Context, p *doctor.Prober, name string, header http.Header) []doctor.Finding {
	var findings []doctor.Finding
	if up.tokens != nil {
		token, f := up.checkToken(ctx)
		f.Check = name + ": oauth2"
		findings = append(findings, f)
		if token != nil {
			header = token.authorize(header)
		}
	}
	var f doctor.Finding
	if up.check != nil && (up.tokens == nil || header["Authorization"] != nil) {
		f = up.checkCredentials(ctx, p, header)
	} else {
		f = up.checkReach(ctx, p)
	}
	f.Check = name
	return append(findings, f)
}

func (up *Upstream) checkToken(ctx context.Context) (*token, doctor.Finding) {
	ctx, cancel := context.WithTimeout(ctx, doctor.Timeout)
	defer cancel()
	token, failure := up.tokens.get(ctx, nil)
	if failure != nil {
		return nil, doctor.Finding{
			Status:  doctor.Problem,
			Message: failure.Err.Error(),
			Fix:     "check the token URL, client id, client secret and scopes of this upstream's `oauth2`",
		}
	}
	return token, doctor.Finding{Status: doctor.OK, Message: "the token endpoint gives a token"}
}

// checkCredentials makes the preset's request.
func (up *Upstream) checkCredentials(ctx context.Context, p *doctor.Prober, header http.Header) doctor.Finding {
	answer, err := p.Get(ctx, up.configured(), up.checkRequest(header))
	if err != nil {
		return up.unreached(err)
	}
	place := "GET " + up.preset.Check.Path
	f := doctor.Finding{Message: fmt.Sprintf("%v to %s", answered(answer.Status), place)}
	switch status := answer.Status; {
	case up.knows(ctx, answer):
		f.Status, f.Message = doctor.OK, "it takes the credentials ("+place+"); whether they may make a ticket, only a ticket tells"
	case status >= 200 && status <= 299:
		f.Status = doctor.Problem
		f.Message += ", but not as " + up.preset.System + " does for somebody who is logged in"
		f.Fix = "check the URL, and " + up.credentials()
	case status == http.StatusUnauthorized:
		f.Status = doctor.Problem
		f.Message += ": it refuses the credentials"
		f.Fix = "check " + up.credentials()
	case status >= 300 && status <= 399:
		f.Status = doctor.Problem
		f.Message += ": redirects are not followed"
		f.Fix = "write the URL that " + up.preset.System + " is at itself"
	case status == http.StatusTooManyRequests, status >= 500, status == http.StatusRequestTimeout:
		f.Status = doctor.Warning
		f.Message += ": that may be over soon"
		f.Fix = "check again in a while"
	case status == http.StatusForbidden:
		f.Status = doctor.Warning
		f.Message += ": the account may not ask for that, or not so often; it may make tickets all the same"
		f.Fix = "check what the account is allowed to do, and " + up.credentials()
	case status == http.StatusNotFound, status == http.StatusGone:
		f.Status = doctor.Problem
		f.Message += ": there is no such thing, or the account may not see it"
		f.Fix = "check the URL" + up.named()
	default:
		f.Status = doctor.Problem
		f.Fix = "check the URL" + up.named() + ", and " + up.credentials()
	}
	return f
}

// knows tells whether an answer to the preset's request is for somebody whom the
// system knows.
func (up *Upstream) knows(ctx context.Context, got *doctor.Answer) bool {
	a := &answer{response: &http.Response{StatusCode: got.Status, Header: got.Header}, body: got.Body, done: true}
	if up.mapping.check != nil {
		return up.mapping.holds(ctx, up.mapping.check, a)
	}
	if got.Status < 200 || got.Status > 299 {
		return false
	}
	switch a.value()["body"].(type) {
	case map[string]any, []any:
		return true
	default: // a page in HTML, say, of what stands in its place
		return false
	}
}

// checkRequest returns the preset's request, with the credentials.
func (up *Upstream) checkRequest(header http.Header) *http.Request {
	header = maps.Clone(header)
	if header == nil {
		header = make(http.Header, 4)
	}
	for field, values := range up.header {
		if field != "If-None-Match" { // that is about what the ticket makes
			setDefault(header, field, values)
		}
	}
	setDefault(header, "Accept", jsonType)
	r := &http.Request{Method: http.MethodGet, URL: up.check, Host: up.check.Host, Header: header}
	up.complete(r)
	return r
}

// checkReach connects to the upstream.
func (up *Upstream) checkReach(ctx context.Context, p *doctor.Prober) doctor.Finding {
	proxyOnly, err := p.Reach(ctx, up.configured(), up.url)
	switch {
	case errors.Is(err, doctor.ErrOpaque):
		return doctor.Finding{Status: doctor.Unknown, Message: err.Error()}
	case err != nil:
		return up.unreached(err)
	case proxyOnly:
		return doctor.Finding{Status: doctor.OK, Message: "the proxy can be reached; what is behind it and whether it takes tickets, only a ticket tells"}
	case up.url.Scheme == "https":
		return doctor.Finding{Status: doctor.OK, Message: up.url.Host + " can be reached, and its certificate is good; whether it takes tickets and credentials, only a ticket tells"}
	default:
		return doctor.Finding{Status: doctor.OK, Message: up.url.Host + " can be reached; whether it takes tickets and credentials, only a ticket tells"}
	}
}

func (up *Upstream) unreached(err error) doctor.Finding {
	return doctor.Finding{
		Status:  doctor.Problem,
		Message: fmt.Sprintf("%s cannot be reached: %v", up.url.Host, err),
		Fix:     "check the URL, firewalls on the way, and this upstream's `transport` if it needs a proxy or a CA of its own",
	}
}

// configured returns the transport that the operator has configured, nil if there
// is none.
func (up *Upstream) configured() http.RoundTripper {
	if up.own != nil {
		return nil
	}
	return up.transport
}

// credentials says what to look at when they are refused.
func (up *Upstream) credentials() string {
	if up.tokens != nil {
		return "what the application of `oauth2` is allowed to do"
	}
	ways := make([]string, len(up.preset.Auth))
	for i, auth := range up.preset.Auth {
		ways[i] = "`" + strings.Join(auth.Options, "` and `") + "`"
	}
	return strings.Join(ways, ", or ") + " of this upstream"
}

// named names the options that are in the path of the check.
func (up *Upstream) named() string {
	var named strings.Builder
	for _, option := range up.preset.Options {
		if strings.Contains(up.preset.Check.Path, "{"+option.Name+"}") {
			named.WriteString(" and `" + option.Name + "`")
		}
	}
	return named.String()
}
