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

// stores are those of the Caddys that run: each has one. The one whose help
// desk is down has its own, so that what waits there slows down nothing else.
var stores = map[string]string{"durable": "bolt", "memory": "memory", "outage": "bolt", "paced": "bolt"}

// A scenario is one site of a Caddyfile and what its callers see.
type scenario struct {
	name  string
	caddy string // the Caddy whose site it is, one of stores

	// site returns the directives of the site, given the URLs of the
	// scenario's own simulated Kindly and help desk.
	site func(kindly, desk string) string

	// secret signs the webhooks.
	secret string

	// status and answers tell the answer that is expected.
	status  int
	answers func(body []byte) bool

	tickets    bool // each answer stands for one ticket, or else for none
	deliveries bool // which kindly_webhook delivers
	down       bool // once the help desk works: it does not while this is measured
}

var scenarios = []scenario{
	{
		name:    "respond",
		caddy:   "durable",
		site:    func(_, _ string) string { return "\trespond " + path + " `{\"reply\":\"Ticket 1 created.\"}`" },
		secret:  secret,
		status:  http.StatusOK,
		answers: isReply,
	},
	proxyScenario("reverse_proxy", "durable"),
	webhookScenario("whole_job", "durable", "5s", isReply),
	webhookScenario("whole_job_memory", "memory", "5s", isReply),
	jiraScenario("whole_job_jira", "durable"),
	outageScenario("down", "outage"),
	{
		// What Caddy itself takes for an error: the least for "rejected".
		name:    "error",
		caddy:   "durable",
		site:    func(_, _ string) string { return "\terror " + path + " 401" },
		secret:  secret,
		status:  http.StatusUnauthorized,
		answers: func([]byte) bool { return true },
	},
	{
		name:    "rejected",
		caddy:   "durable",
		site:    webhookSite("rejected", "5s", plainUpstream),
		secret:  "not the " + secret,
		status:  http.StatusUnauthorized,
		answers: func(body []byte) bool { return !bytes.Contains(body, []byte("reply")) },
	},
}

// proxyScenario is a hop to the help desk, of Caddy itself.
func proxyScenario(name, caddy string) scenario {
	return scenario{
		name:    name,
		caddy:   caddy,
		site:    func(_, desk string) string { return "\treverse_proxy " + path + " " + desk },
		secret:  secret,
		status:  http.StatusCreated,
		answers: func(body []byte) bool { return bytes.HasPrefix(body, []byte(`{"id":`)) },
		tickets: true,
	}
}

// webhookScenario is the whole job.
func webhookScenario(name, caddy, respondWithin string, answers func([]byte) bool) scenario {
	return scenario{
		name:       name,
		caddy:      caddy,
		site:       webhookSite(name, respondWithin, plainUpstream),
		secret:     secret,
		status:     http.StatusOK,
		answers:    answers,
		tickets:    true,
		deliveries: true,
	}
}

// jiraScenario is the whole job with the preset that has the most to do.
func jiraScenario(name, caddy string) scenario {
	s := webhookScenario(name, caddy, "5s", isReply)
	s.site = webhookSite(name, "5s", jiraUpstream)
	return s
}

// outageScenario is the part of the job that can be done while the help desk
// is down.
func outageScenario(name, caddy string) scenario {
	s := webhookScenario(name, caddy, "5s", isPending)
	s.down = true
	return s
}

// An upstream with %s where the help desk's URL belongs.
const (
	plainUpstream = `upstream %s/tickets {
			concurrency 64
		}`
	jiraUpstream = `upstream jira %s {
			project SUP
			email agent@acme.example
			api_token bench-token
			ticket_id .body.id
			concurrency 64
		}`
)

// webhookSite configures the whole job under a name. Webhooks are known again
// for as long as a run may take.
func webhookSite(name, respondWithin, upstream string) func(kindly, desk string) string {
	return func(kindly, desk string) string {
		return fmt.Sprintf(`	kindly_webhook %s %s {
		secret %s
		dedupe 24h
		api_key %s
		transcript {
			api %s
		}
		%s
		respond_within %s
		reply "Ticket {kindly.ticket.id} created."
		reply_pending "A ticket follows."
	}`, path, name, secret, apiKey, kindly, fmt.Sprintf(upstream, desk), respondWithin)
	}
}

// isReply reports whether body is the answer of a chat that got its ticket.
func isReply(body []byte) bool { return ticketIn(body) != "" }

// ticketIn returns the id of the ticket that an answer speaks of, "" if it is
// another one.
func ticketIn(body []byte) string {
	_, reply, found := bytes.Cut(body, []byte(`"reply":"Ticket `))
	id, _, ended := bytes.Cut(reply, []byte(` created."`))
	if !found || !ended || len(bytes.Trim(id, "0123456789")) > 0 {
		return ""
	}
	return string(id)
}

// isPending reports whether body is the answer of a chat whose ticket follows.
func isPending(body []byte) bool { return bytes.Contains(body, []byte(`"reply":"A ticket follows."`)) }

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
		value:   perSecond,
		targets: map[int]float64{16: 0.36, 64: 0.45},
	},
	{
		of: "whole_job_memory", to: "reverse_proxy",
		metric:  "requests/s",
		value:   perSecond,
		targets: map[int]float64{16: 0.45, 64: 0.60},
	},
	{
		of: "whole_job_jira", to: "whole_job",
		metric:  "CPU/request",
		value:   func(w window) float64 { return w.CaddyCPU },
		targets: map[int]float64{16: 1.18, 64: 1.18}, // of which the preset is 15 %
		atMost:  true,
	},
	{
		of: "down", to: "respond",
		metric:  "requests/s",
		value:   perSecond,
		targets: map[int]float64{16: 0.22, 64: 0.40},
	},
	{
		of: "rejected", to: "respond",
		metric:  "CPU/request",
		value:   func(w window) float64 { return w.CaddyCPU },
		targets: map[int]float64{16: 1.3, 64: 1.3},
		atMost:  true,
	},
}

func perSecond(w window) float64 { return w.PerSecond }

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
