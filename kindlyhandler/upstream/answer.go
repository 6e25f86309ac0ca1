package upstream

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"unicode"

	"github.com/tidwall/gjson"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/loose"
)

// maxAnswer is how much of an answer is read.
const maxAnswer = 1 << 20

// answer is a response, of which no more is read than somebody asks for.
type answer struct {
	response *http.Response
	body     []byte
	err      error // of reading it
	done     bool
	seen     map[string]any // by expressions
}

// read returns the body, as much as there is of it.
func (a *answer) read() []byte {
	if !a.done {
		a.body, a.err = io.ReadAll(io.LimitReader(a.response.Body, maxAnswer))
		a.done = true
	}
	return a.body
}

// finish reads what little is left, so that the connection can be used again.
func (a *answer) finish() {
	if !a.done {
		_, _ = io.CopyN(io.Discard, a.response.Body, 4<<10)
	}
}

// value returns the answer as jq expressions see it.
func (a *answer) value() map[string]any {
	if a.seen == nil {
		headers := make(map[string]any, len(a.response.Header))
		for name, values := range a.response.Header {
			headers[strings.ToLower(name)] = strings.Join(values, ", ")
		}
		a.seen = map[string]any{"status": a.response.StatusCode, "headers": headers, "body": bodyValue(a.read())}
	}
	return a.seen
}

// bodyValue returns a body as JSON, as null if it is empty, or as a string if it
// is neither.
func bodyValue(body []byte) (v any) {
	if len(bytes.TrimSpace(body)) == 0 {
		return nil
	}
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	if decoder.Decode(&v) == nil {
		if _, err := decoder.Token(); err == io.EOF {
			return v
		}
	}
	return strings.ToValidUTF8(string(body), "\uFFFD")
}

// Where a JSON answer usually has the ticket's id and address, in this order.
var (
	idFields  = []string{"id", "number", "key"}
	urlFields = []string{"url", "html_url", "web_url", "link"}
)

const (
	maxTicketID  = 256
	maxTicketURL = 2048
)

// findTicket reads the ticket's id and address from an answer, at the top
// level or in the first object in it that has either.
func findTicket(answer []byte) delivery.Ticket {
	top, err := loose.Object(answer)
	if err != nil {
		return delivery.Ticket{}
	}
	found := ticketIn(top)
	if found == (delivery.Ticket{}) {
		top.ForEach(func(_, v gjson.Result) bool {
			if v.IsObject() {
				found = ticketIn(v)
			}
			return found == delivery.Ticket{}
		})
	}
	return found
}

func ticketIn(object gjson.Result) delivery.Ticket {
	fields := make(map[string]string, 2)
	object.ForEach(func(key, v gjson.Result) bool {
		switch v.Type {
		case gjson.String:
			fields[key.Str] = v.Str
		case gjson.Number:
			fields[key.Str] = v.Raw
		default: // no id, no address
		}
		return true
	})
	return delivery.Ticket{ // clones: a part of the answer would keep all of it
		ID:  strings.Clone(firstField(fields, idFields, isID)),
		URL: strings.Clone(firstField(fields, urlFields, isAddress)),
	}
}

func firstField(fields map[string]string, names []string, valid func(string) bool) string {
	for _, name := range names {
		if v, ok := fields[name]; ok && valid(v) {
			return v
		}
	}
	return ""
}

func isID(s string) bool {
	return s != "" && len(s) <= maxTicketID && !strings.ContainsFunc(s, unicode.IsControl)
}

func isAddress(s string) bool {
	_, err := ParseURL(s)
	return err == nil && len(s) <= maxTicketURL
}
