package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"time"
)

// get asks Caddy's admin API for something that comes within patience, or the
// time it takes by its nature.
func (c *caddy) get(ctx context.Context, path string, takes time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, takes+patience)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+c.admin+path, nil)
	if err != nil {
		return nil, err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, fmt.Errorf("no answer of Caddy's admin API: %w", err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return nil, fmt.Errorf("no complete answer of Caddy's admin API: %w", err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the admin API answers %s to GET %s: %.300q", answer.Status, path, body)
	}
	return body, nil
}

// profile writes a CPU profile of the given length, in full seconds, to file.
func (c *caddy) profile(ctx context.Context, length time.Duration, file string) error {
	seconds := max(1, int(length.Seconds()))
	data, err := c.get(ctx, fmt.Sprintf("/debug/pprof/profile?seconds=%d", seconds), time.Duration(seconds)*time.Second)
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}

// An upstream is what the admin API tells of a webhook's upstream.
type upstream struct {
	Name      string `json:"name"` // of the webhook
	Condition string `json:"condition"`
	// Deliveries is not there as long as the store is not ready.
	Deliveries *counts `json:"deliveries"`
}

// counts are its deliveries, none if it is not known.
func (u upstream) counts() counts {
	if u.Deliveries == nil {
		return counts{}
	}
	return *u.Deliveries
}

// counts are numbers of deliveries by state.
type counts struct {
	Pending   int `json:"pending"`
	Delivered int `json:"delivered"`
	Dead      int `json:"dead"`
}

// upstreams returns the upstreams by the names of their webhooks, which have
// one each, when the store is ready.
func (c *caddy) upstreams(ctx context.Context) (map[string]upstream, error) {
	for {
		upstreams, err := c.upstreamsNow(ctx)
		ready := !slices.ContainsFunc(slices.Collect(maps.Values(upstreams)), func(u upstream) bool { return u.Deliveries == nil })
		if ready || err != nil {
			return upstreams, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (c *caddy) upstreamsNow(ctx context.Context) (map[string]upstream, error) {
	body, err := c.get(ctx, "/kindly/status", 0)
	if err != nil {
		return nil, err
	}
	var status struct {
		Upstreams []upstream `json:"upstreams"`
	}
	if err := json.Unmarshal(body, &status); err != nil {
		return nil, fmt.Errorf("unreadable answer of Caddy's admin API to GET /kindly/status: %w", err)
	}
	upstreams := make(map[string]upstream)
	for _, u := range status.Upstreams {
		upstreams[u.Name] = u
	}
	return upstreams, nil
}

// A history has the tickets of delivered deliveries, by the names of their
// webhooks and the ids of their chats.
type history map[string]map[string]string

// history reads the whole history, delivery by delivery.
func (c *caddy) history(ctx context.Context) (history, error) {
	all := make(history)
	for after := ""; ; {
		body, err := c.get(ctx, "/kindly/deliveries?state=delivered&limit=1000"+after, 0)
		if err != nil {
			return nil, err
		}
		var page struct {
			Deliveries []struct {
				Name   string `json:"name"`
				ChatID string `json:"chat_id"`
				Ticket struct {
					ID string `json:"id"`
				} `json:"ticket"`
			} `json:"deliveries"`
			After string `json:"after"`
		}
		if err := json.Unmarshal(body, &page); err != nil {
			return nil, fmt.Errorf("unreadable answer of Caddy's admin API to GET /kindly/deliveries: %w", err)
		}
		for _, d := range page.Deliveries {
			if all[d.Name] == nil {
				all[d.Name] = make(map[string]string)
			}
			all[d.Name][d.ChatID] = d.Ticket.ID
		}
		if page.After == "" {
			return all, nil
		}
		after = "&after=" + page.After
	}
}
