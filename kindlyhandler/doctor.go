package kindlyhandler

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/outbound"
)

// unknownChat is in the form of a chat's id, and none's.
const unknownChat = "000000000000000000000000"

// wrongKey is a key that nobody has.
const wrongKey = "caddy-kindly-doctor-asks-with-a-wrong-key"

// CheckSecrets says whether there are secrets that can sign webhooks. Whether
// they are Kindly's, only a webhook tells.
func CheckSecrets(secrets []string) doctor.Finding {
	f := doctor.Finding{Check: "secret"}
	const place = "write the one under Settings › General › Security › Webhook HMAC in Kindly"
	switch {
	case len(secrets) == 0:
		f.Status, f.Message, f.Fix = doctor.Problem, "there is none", place
	case slices.Contains(secrets, ""):
		f.Status, f.Message, f.Fix = doctor.Problem, "it is empty: anybody could sign with it", place
	case slices.ContainsFunc(secrets, hasSpace):
		f.Status, f.Message, f.Fix = doctor.Warning, "it has a space or a line break in it, which counts: Kindly gives none with those", "remove it where the secret is kept"
	case len(secrets) == 1:
		f.Status, f.Message = doctor.OK, "it is set; whether it is Kindly's, only a webhook tells"
	default:
		f.Status, f.Message = doctor.OK, fmt.Sprintf("%d are set; whether one is Kindly's, only a webhook tells", len(secrets))
	}
	return f
}

func hasSpace(s string) bool { return strings.ContainsFunc(s, unicode.IsSpace) }

// CheckTranscripts asks the Transcript API for a chat that there is not, with the
// key and, if that is not refused, with a wrong one. Kindly does not document
// what it answers then: only that the wrong key is refused proves anything about
// the right one.
func CheckTranscripts(ctx context.Context, o TranscriptOptions, p *doctor.Prober) doctor.Finding {
	f := doctor.Finding{Check: "api_key"}
	a, err := newTranscriptAPI(o, userAgent())
	if err != nil {
		f.Status, f.Message = doctor.Problem, err.Error()
		return f
	}
	defer a.close()
	const key = "write an API key of this bot with the scope \"Read chats\" (Kindly: Connect › API Keys)"
	answer, err := a.probe(ctx, p, o.Transport, a.authorization[0])
	if err != nil {
		f.Status = doctor.Problem
		f.Message = fmt.Sprintf("Kindly's API at %s cannot be reached: %v", a.base.Host, err)
		f.Fix = "check firewalls on the way, and `transcript`: its `api`, and its `transport` if this machine needs a proxy"
		return f
	}
	f.Message = "Kindly's API answers " + outbound.Status(answer.Status)
	switch status := answer.Status; {
	case status == http.StatusUnauthorized, status == http.StatusForbidden:
		f.Status, f.Fix = doctor.Problem, key
		f.Message += ": it refuses the key"
		return f
	case status >= 300 && status <= 399:
		f.Status = doctor.Problem
		f.Message += ": redirects are not followed, the key would go elsewhere"
		f.Fix = "write the base URL of Kindly's API as `api` of `transcript`, or leave it out"
		return f
	case status == http.StatusTooManyRequests, status == http.StatusRequestTimeout, status >= 500:
		f.Status, f.Fix = doctor.Warning, "check again in a while"
		f.Message += ": that may be over soon, and what it thinks of the key cannot be known now"
		return f
	}
	scheme, _, _ := strings.Cut(a.authorization[0], " ")
	control, err := a.probe(ctx, p, o.Transport, scheme+" "+wrongKey)
	switch {
	case err != nil:
		f.Status, f.Fix = doctor.Warning, "check again in a while"
		f.Message += fmt.Sprintf(", and did not answer a second request: %v", err)
	case control.Status == http.StatusUnauthorized, control.Status == http.StatusForbidden:
		f.Status = doctor.OK
		f.Message = "Kindly's API takes the key: it refuses a wrong one, and not this one"
	default:
		f.Status = doctor.Unknown
		f.Message += " for a chat that there is not, and the same for a wrong key: whether it takes this one cannot be known without a chat"
		if control.Status != answer.Status {
			f.Message = strings.Replace(f.Message, "the same", outbound.Status(control.Status), 1)
		}
		f.Fix = "have a dialogue send a webhook, and look whether its ticket has the transcript"
	}
	return f
}

// probe asks for the chat that there is not.
func (a *transcriptAPI) probe(ctx context.Context, p *doctor.Prober, configured http.RoundTripper, authorization string) (*doctor.Answer, error) {
	address := a.chatURL(unknownChat)
	return p.Get(ctx, configured, &http.Request{
		Method: http.MethodGet,
		URL:    address,
		Host:   address.Host,
		Header: http.Header{"Authorization": {authorization}, "Accept": jsonType, "User-Agent": a.userAgent},
	})
}

// CheckUpstream finds out how far an upstream would take a ticket, without
// sending one.
func CheckUpstream(ctx context.Context, o UpstreamOptions, lookup Lookup, p *doctor.Prober) []doctor.Finding {
	h := &Handler{observer: nobody{}}
	check := "upstream " + UpstreamName(o.Name, o.Preset)
	if err := h.addUpstream(o, lookup); err != nil {
		return []doctor.Finding{{Check: check, Status: doctor.Problem, Message: err.Error()}}
	}
	t := h.targets[0]
	defer t.upstream.Close()
	return t.upstream.Check(ctx, p, check, t.constantHeaders())
}

// constantHeaders returns the operator's header fields that are not about a
// ticket.
func (t *target) constantHeaders() http.Header {
	header := make(http.Header, len(t.header)+4)
	f := &facts{event: new(event), customer: new(Customer)}
	for _, field := range t.header {
		if !field.value.isAboutChat() {
			header[field.name] = append(header[field.name], strings.Map(printable, field.value.expand(f, verbatim)))
		}
	}
	return header
}
