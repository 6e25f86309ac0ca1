package upstream

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/internal/jq"
)

// Mapping says what a ticket becomes for a ticket system, and how its answers
// are read. Each field is a jq expression. Those about an answer see it as
//
//	{"status": 201, "headers": {"location": "…"}, "body": …}
//
// with the names of header fields in lower case, and with the body as JSON, null
// if it is empty, or a string if it is neither.
type Mapping struct {
	// Body gives the request's JSON body from the ticket. Default: the ticket.
	Body string
	// Success is true for an answer that means that the system has the ticket.
	// It may also be a list of statuses, such as "200 201" or "2xx". Default:
	// 2xx.
	Success string
	// TicketID gives the ticket's id from the answer, or null. Default: what is
	// usually called so.
	TicketID string
	// TicketURL gives the ticket's address from the answer, or null. Default:
	// what is usually called so.
	TicketURL string
}

// mapping is a Mapping, compiled. What is nil has its default.
type mapping struct {
	method, body, success, ticketID, ticketURL *jq.Expression

	throttled, transient, check *jq.Expression // of the preset

	statuses  []statusClass
	variables []any
}

// newMapping compiles a mapping, the expression for the method, and what the
// preset has in addition.
func newMapping(m Mapping, method string, s *settings) (*mapping, error) {
	compiled := &mapping{variables: s.values}
	if fields := strings.Fields(m.Success); len(fields) > 0 && (IsStatus(fields[0]) || isDigits(fields[0])) {
		for _, field := range fields {
			if !IsStatus(field) {
				return nil, fmt.Errorf("success: %q is not a status: write statuses such as 201 or 2xx, or one jq expression", field)
			}
			compiled.statuses = append(compiled.statuses, statusClass(field))
		}
		m.Success = ""
	}
	texts := library
	if s.ownBody {
		texts = presetLibrary
	}
	var check string
	if s.preset.Check != nil {
		check = s.preset.Check.Success
	}
	for _, field := range []struct {
		name, source, such string
		to                 **jq.Expression
		compile            func(source string, variables ...string) (*jq.Expression, error)
	}{
		{"method", method, `if .kindly_ticket then "PUT" else "POST" end`, &compiled.method, library.Compile},
		{"body", m.Body, "{title: .subject, text: .transcript.text}", &compiled.body, texts.Compile},
		{"success", m.Success, ".status == 200 and .body.ok", &compiled.success, jq.Compile},
		{"ticket_id", m.TicketID, ".body.ticket.id", &compiled.ticketID, jq.Compile},
		{"ticket_url", m.TicketURL, ".body.ticket.url", &compiled.ticketURL, jq.Compile},
		{"throttled", s.preset.Throttled, ".status == 403", &compiled.throttled, jq.Compile},
		{"transient", s.preset.Transient, ".status == 400", &compiled.transient, jq.Compile},
		{"check", check, ".status == 200", &compiled.check, jq.Compile},
	} {
		if field.source == "" {
			continue
		}
		expression, err := field.compile(field.source, s.names...)
		if err != nil {
			return nil, fmt.Errorf("%s: %w; write a jq expression such as `%s`", field.name, err, field.such)
		}
		*field.to = expression
	}
	return compiled, nil
}

var status = regexp.MustCompile(`^[1-5](?:[0-9][0-9]|xx)$`)

// IsStatus tells whether s is a status such as 201, or a class of them such as
// 2xx.
func IsStatus(s string) bool { return status.MatchString(s) }

// statusClass is a status such as 201, or all of a kind such as 2xx.
type statusClass string

func (c statusClass) has(status int) bool {
	s := strconv.Itoa(status)
	return string(c) == s || strings.HasSuffix(string(c), "xx") && s[:1] == string(c[:1])
}

// Request is what is sent for a ticket.
type Request struct {
	// Method is that of the upstream if it is empty.
	Method string
	Body   []byte
}

// Maps tells whether [Upstream.Map] has anything to say about a ticket.
func (up *Upstream) Maps() bool { return up.mapping.body != nil || up.mapping.method != nil }

// NeedsAll tells whether [Upstream.Map] can need the ticket's messages, context
// and source. No preset does.
func (up *Upstream) NeedsAll() bool { return !up.ownBody || up.mapping.method != nil }

// Map returns what is sent for a ticket, which is in the form in which
// encoding/json decodes it. The body is nil if it is the ticket as it is. Errors
// do not repeat anything of the ticket.
func (up *Upstream) Map(ctx context.Context, ticket map[string]any) (r Request, err error) {
	if r.Method, err = up.mapping.methodFor(ctx, ticket); err != nil || up.mapping.body == nil {
		return r, err
	}
	if up.ownBody {
		ticket = withMailable(ticket)
	}
	result, err := up.mapping.body.Eval(ctx, ticket, up.mapping.variables...)
	if err == nil {
		r.Body, err = jq.Encode(result)
	}
	if err != nil {
		return Request{}, fmt.Errorf("body: %w", err)
	}
	return r, nil
}

// holds tells whether one of the preset's tests is true of an answer. One that
// there is not, or that fails, is not.
func (m *mapping) holds(ctx context.Context, test *jq.Expression, a *answer) bool {
	if test == nil {
		return false
	}
	result, err := test.Eval(ctx, a.value(), m.variables...)
	return err == nil && result == true
}

// succeeded tells whether an answer means that the system has the ticket, and
// if the expression for that has no clear answer, why.
func (m *mapping) succeeded(ctx context.Context, a *answer) (bool, error) {
	if m.success == nil {
		for _, class := range m.statuses {
			if class.has(a.response.StatusCode) {
				return true, nil
			}
		}
		return false, nil
	}
	result, err := m.success.Eval(ctx, a.value(), m.variables...)
	if err != nil {
		return false, fmt.Errorf("success: %w", err)
	}
	yes, ok := result.(bool)
	if !ok && result != nil {
		return false, errors.New("success: it gives neither true nor false: compare with something, such as `.body.id != null`")
	}
	return yes, nil
}

// ticket reads the ticket's id and address from an answer. What cannot be read
// is left out, with the reason: the system has the ticket all the same.
func (m *mapping) ticket(ctx context.Context, a *answer) (delivery.Ticket, error) {
	var found delivery.Ticket
	if m.ticketID == nil || m.ticketURL == nil {
		found = findTicket(a.read())
	}
	var failed error
	read := func(name string, expression *jq.Expression, valid func(string) bool, to *string) {
		if expression == nil {
			return
		}
		*to = ""
		result, err := expression.Eval(ctx, a.value(), m.variables...)
		switch s := textOf(result); {
		case err != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: %w", name, err))
		case valid(s):
			*to = strings.Clone(s)
		case result != nil:
			failed = errors.Join(failed, fmt.Errorf("%s: its result is not one", name))
		}
	}
	read("ticket_id", m.ticketID, isID, &found.ID)
	read("ticket_url", m.ticketURL, isAddress, &found.URL)
	return found, failed
}

// textOf returns a string or a number as text, and nothing for anything else.
func textOf(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case int, float64, json.Number:
		text, _ := jq.Encode(v)
		return string(text)
	default:
		return ""
	}
}
