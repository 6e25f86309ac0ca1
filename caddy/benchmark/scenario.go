package main

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// What the webhook sites are configured with.
const (
	secret = "examplesecret"
	apiKey = "bench-key"
)

// path is where every scenario is sent to.
const path = "/kindly"

// A scenario is one site of the Caddyfile and what its callers see.
type scenario struct {
	name string

	// site returns the directives of the site, given the URLs of the
	// simulated Kindly and of the scenario's own help desk.
	site func(kindly, desk string) string

	// secret signs the webhooks.
	secret string

	// status and answers tell the answer that is expected.
	status  int
	answers func(body []byte) bool

	tickets     bool // each answer stands for one ticket, or else for none
	transcripts bool // for each ticket a transcript is fetched
	keys        bool // each ticket carries an Idempotency-Key
}

var scenarios = []scenario{
	{
		name:    "respond",
		site:    func(_, _ string) string { return "\trespond " + path + " `{\"reply\":\"Ticket 1 created.\"}`" },
		secret:  secret,
		status:  http.StatusOK,
		answers: isReply,
	},
	{
		name:    "reverse_proxy",
		site:    func(_, desk string) string { return "\treverse_proxy " + path + " " + desk },
		secret:  secret,
		status:  http.StatusCreated,
		answers: func(body []byte) bool { return bytes.HasPrefix(body, []byte(`{"id":`)) },
		tickets: true,
	},
	{
		name:        "whole_job",
		site:        webhookSite("bench"),
		secret:      secret,
		status:      http.StatusOK,
		answers:     isReply,
		tickets:     true,
		transcripts: true,
		keys:        true,
	},
	{
		// What Caddy itself takes for an error: the least for "rejected".
		name:    "error",
		site:    func(_, _ string) string { return "\terror " + path + " 401" },
		secret:  secret,
		status:  http.StatusUnauthorized,
		answers: func([]byte) bool { return true },
	},
	{
		name:    "rejected",
		site:    webhookSite("rejected"),
		secret:  "not the " + secret,
		status:  http.StatusUnauthorized,
		answers: func(body []byte) bool { return !bytes.Contains(body, []byte("reply")) },
	},
}

// webhookSite configures the whole job under a name.
func webhookSite(name string) func(kindly, desk string) string {
	return func(kindly, desk string) string {
		return fmt.Sprintf(`	kindly_webhook %s %s {
		secret %s
		api_key %s
		transcript {
			api %s
		}
		upstream %s/tickets {
			concurrency 64
		}
		respond_within 5s
		reply "Ticket {kindly.ticket.id} created."
	}`, path, name, secret, apiKey, kindly, desk)
	}
}

// isReply reports whether body is the answer of a chat that got its ticket.
func isReply(body []byte) bool {
	_, reply, found := bytes.Cut(body, []byte(`"reply":"Ticket `))
	if !found {
		return false
	}
	afterNumber := bytes.TrimLeft(reply, "0123456789")
	return len(afterNumber) < len(reply) && bytes.HasPrefix(afterNumber, []byte(` created."`))
}

// A comparison is a ratio of two scenarios that the project aims at.
type comparison struct {
	of, to  string
	metric  string
	value   func(window) float64
	targets map[int]float64 // by number of connections
	atMost  bool            // the target is an upper limit
}

var comparisons = []comparison{
	{
		of: "whole_job", to: "reverse_proxy",
		metric:  "requests/s",
		value:   func(w window) float64 { return w.PerSecond },
		targets: map[int]float64{16: 0.45, 64: 0.60},
	},
	{
		of: "rejected", to: "respond",
		metric:  "CPU/request",
		value:   func(w window) float64 { return w.CaddyCPU },
		targets: map[int]float64{16: 1.3, 64: 1.3},
		atMost:  true,
	},
}

func scenarioNames() []string {
	names := make([]string, len(scenarios))
	for i, s := range scenarios {
		names[i] = s.name
	}
	return names
}

// chooseScenarios returns the scenarios of a comma-separated list of names,
// in the order of the table.
func chooseScenarios(list string) ([]scenario, error) {
	wanted := strings.Split(list, ",")
	for i, name := range wanted {
		wanted[i] = strings.TrimSpace(name)
		if !slices.Contains(scenarioNames(), wanted[i]) {
			return nil, fmt.Errorf("-scenarios: there is no %q, choose from %s", wanted[i], strings.Join(scenarioNames(), ", "))
		}
	}
	chosen := slices.Clone(scenarios)
	return slices.DeleteFunc(chosen, func(s scenario) bool { return !slices.Contains(wanted, s.name) }), nil
}
