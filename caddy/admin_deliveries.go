package kindly

import (
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/delivery"
)

const (
	defaultLimit = 100
	maxLimit     = 1000
	// maxPages bounds what one request looks through: a page of the store may
	// have none of what is asked for.
	maxPages = 100
)

var errState = errors.New("write pending, delivered or dead")

func parseState(s string) (delivery.State, error) {
	for _, state := range []delivery.State{delivery.Pending, delivery.Delivered, delivery.Dead} {
		if s == state.String() {
			return state, nil
		}
	}
	return 0, errState
}

func listDeliveries(q *delivery.Dispatcher, r *http.Request) (any, error) {
	query, err := parseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	list := pageDocument{Deliveries: []deliveryDocument{}}
	limit := query.Limit
	for range maxPages {
		query.Limit = limit - len(list.Deliveries)
		page, err := q.List(r.Context(), query)
		if err != nil {
			return nil, err
		}
		for _, d := range page.Deliveries {
			list.Deliveries = append(list.Deliveries, describe(d))
		}
		query.Before = page.Before
		if page.Before == uuid.Nil || len(list.Deliveries) == limit {
			break
		}
	}
	if query.Before != uuid.Nil {
		list.After = &query.Before
	}
	return list, nil
}

// parseQuery reads the parameters of a list.
func parseQuery(raw string) (delivery.Query, error) {
	query := delivery.Query{Limit: defaultLimit}
	parameters, err := url.ParseQuery(raw)
	if err != nil {
		return query, problem(http.StatusBadRequest, "the parameters cannot be read: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(parameters)) {
		values := parameters[name]
		if len(values) != 1 || values[0] == "" {
			return query, problem(http.StatusBadRequest, "%.100q has %d values, or an empty one: give it one, or leave it out", name, len(values))
		}
		value := values[0]
		switch name {
		case "state":
			state, err := parseState(value)
			if err != nil {
				return query, problem(http.StatusBadRequest, "state %.100q: %w", value, err)
			}
			query.States = []delivery.State{state}
		case "name":
			query.Webhook = value
		case "upstream":
			query.Upstream = value
		case "chat_id":
			query.ChatID = value
		case "limit":
			query.Limit, err = strconv.Atoi(value)
			if err != nil || query.Limit < 1 || query.Limit > maxLimit {
				return query, problem(http.StatusBadRequest, "limit %.100q: write a number from 1 to %d", value, maxLimit)
			}
		case "after":
			query.Before, err = parseID(value)
			if err != nil || query.Before == uuid.Nil {
				return query, problem(http.StatusBadRequest, "after %.100q: write what the page before has as its \"after\"", value)
			}
		default:
			return query, problem(http.StatusBadRequest, "no parameter %.100q: there are state, name, upstream, chat_id, limit and after", name)
		}
	}
	return query, nil
}

func describe(d *delivery.Delivery) deliveryDocument {
	document := deliveryDocument{
		ID:         d.ID,
		Name:       d.Lane.Webhook,
		Upstream:   d.Lane.Upstream,
		Event:      d.Event,
		ChatID:     text(d.ChatID),
		State:      d.State.String(),
		ReceivedAt: moment{d.ReceivedAt},
		Attempts:   d.Tries,
	}
	if d.State == delivery.Pending && !d.Claimed {
		document.NextAttemptAt = moment{d.DueAt}
	}
	if d.State == delivery.Delivered {
		document.Ticket = &ticketDocument{ID: text(d.Ticket.ID), URL: text(d.Ticket.URL)}
	} else if n := len(d.Attempts); n > 0 {
		document.Error = text(d.Attempts[n-1].Error)
	}
	return document
}

func showDelivery(q *delivery.Dispatcher, r *http.Request, id uuid.UUID) (any, error) {
	d, err := q.Get(r.Context(), id)
	if err != nil {
		return nil, err
	}
	details := detailsDocument{
		deliveryDocument: describe(d),
		Attempts:         make([]attemptDocument, len(d.Attempts)),
		AttemptsTotal:    d.Tries,
		Document:         q.Preview(d),
		TraceID:          text(kindlyhandler.TraceID(d)),
	}
	for i, a := range d.Attempts {
		details.Attempts[i] = attemptDocument{
			Time:     moment{a.At},
			Stage:    a.Stage,
			Error:    text(a.Error),
			Duration: a.Duration.Seconds(),
			Unknown:  a.Unknown,
		}
		if a.Status != 0 {
			details.Attempts[i].Status = &a.Status
		}
	}
	return details, nil
}

// retriedDocument says how many deliveries are attempted again, in the
// background.
type retriedDocument struct {
	Retried int `json:"retried"`
}

func retryDelivery(q *delivery.Dispatcher, r *http.Request, id uuid.UUID) (any, error) {
	err := q.Retry(r.Context(), id)
	if errors.Is(err, delivery.ErrNotFound) {
		if d, failed := q.Get(r.Context(), id); failed == nil && d.State == delivery.Delivered {
			return nil, problem(http.StatusConflict, "it is delivered already: there is nothing to retry")
		}
	}
	if err != nil {
		return nil, err
	}
	return retriedDocument{1}, nil
}

func retryDeliveries(q *delivery.Dispatcher, r *http.Request) (any, error) {
	const example = `{"state": "dead"}, or "pending", with "name": <webhook> for those of one webhook`
	var asked struct {
		State string `json:"state"`
		Name  string `json:"name"`
	}
	if err := readJSON(r, &asked, example); err != nil {
		return nil, err
	}
	state, err := parseState(asked.State)
	if err != nil || state == delivery.Delivered {
		return nil, problem(http.StatusBadRequest, "state %.100q cannot be retried: write %s", asked.State, example)
	}
	n, err := q.RetryAll(r.Context(), delivery.Query{States: []delivery.State{state}, Webhook: asked.Name})
	if err != nil && n > 0 {
		return nil, problem(http.StatusInternalServerError, "%d deliveries are retried, then the store failed: %w", n, err)
	}
	if err != nil {
		return nil, err
	}
	return retriedDocument{n}, nil
}

func dropDelivery(q *delivery.Dispatcher, r *http.Request, id uuid.UUID) (any, error) {
	if _, err := q.Drop(r.Context(), id); err != nil {
		return nil, err
	}
	return struct {
		Dropped int `json:"dropped"`
	}{1}, nil
}

func eraseChat(q *delivery.Dispatcher, r *http.Request) (any, error) {
	const example = `{"chat_id": <id>}`
	var asked struct {
		ChatID string `json:"chat_id"`
	}
	if err := readJSON(r, &asked, example); err != nil {
		return nil, err
	}
	if asked.ChatID == "" {
		return nil, problem(http.StatusBadRequest, "no chat_id: write %s", example)
	}
	n, err := q.Erase(r.Context(), asked.ChatID)
	if err != nil {
		return nil, err
	}
	return struct {
		Erased int `json:"erased"`
	}{n}, nil
}
