package kindly

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// Examiner is an [Engine] that can say how it is without being opened.
type Examiner interface {
	// Examine changes nothing of what a server may be using. What it finds has no
	// secret in it.
	Examine(ctx context.Context) []doctor.Finding
}

// diagnosis is what the checks of a configuration have found.
type diagnosis struct {
	Webhooks []*webhookDiagnosis `json:"webhooks"`
	Server   []doctor.Finding    `json:"server"`
	Problems int                 `json:"problems"`
	Warnings int                 `json:"warnings"`
}

type webhookDiagnosis struct {
	Name     string           `json:"name"`
	Hosts    []string         `json:"hosts"`
	Findings []doctor.Finding `json:"findings"`
}

func (w *webhookDiagnosis) title() string {
	if len(w.Hosts) == 0 {
		return fmt.Sprintf("kindly_webhook %q", w.Name)
	}
	return fmt.Sprintf("kindly_webhook %q of %s", w.Name, strings.Join(w.Hosts, ", "))
}

// examination is a configuration that is being checked.
type examination struct {
	config  []byte
	scratch string // a directory for what Caddy may make
	prober  doctor.Prober
	// modules loads transports and engines, one at a time; it is nil if that cannot
	// be done.
	modules *caddy.Context
	loading sync.Mutex
	checks  []pendingCheck
}

// pendingCheck is a check, and where its findings go.
type pendingCheck struct {
	name string
	run  func(ctx context.Context) []doctor.Finding
	to   *[]doctor.Finding
}

// examine checks a configuration, given as JSON. It fails only if there is
// nothing that it could check.
func examine(ctx context.Context, config []byte) (*diagnosis, error) {
	webhooks, err := findWebhooks(config)
	if err != nil {
		return nil, err
	}
	if len(webhooks) == 0 {
		return nil, errors.New("the configuration has no kindly_webhook: there is nothing to check")
	}
	scratch, err := os.MkdirTemp("", "kindly-doctor-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	e := &examination{config: config, scratch: scratch}
	defer e.prober.Close()
	d := new(diagnosis)
	d.Server = append(d.Server, e.validate())
	e.prepare()
	results := make([][]doctor.Finding, len(webhooks))
	for i, w := range webhooks {
		e.addWebhook(w, &results[i])
	}
	var store []doctor.Finding
	e.add(&store, "store", e.checkStore(webhooks))
	e.run(ctx)
	for i, w := range webhooks {
		d.Webhooks = append(d.Webhooks, &webhookDiagnosis{w.name, w.hosts(), results[i]})
	}
	d.Server = append(append(d.Server, store...), e.prober.Clock(dependOnClock(webhooks)...))
	all := slices.Clone(d.Server)
	for _, w := range d.Webhooks {
		all = append(all, w.Findings...)
	}
	for _, f := range all {
		if f.Status == doctor.Problem {
			d.Problems++
		}
		if f.Status == doctor.Warning {
			d.Warnings++
		}
	}
	return d, nil
}

// add adds checks, whose findings follow those that were added before. The name
// is for checks that do not end.
func (e *examination) add(to *[]doctor.Finding, name string, checks ...func(ctx context.Context) []doctor.Finding) {
	for _, check := range checks {
		e.checks = append(e.checks, pendingCheck{name, check, to})
	}
}

// run makes all checks at once, and waits for them no longer than the context
// allows.
func (e *examination) run(ctx context.Context) {
	found := make([]chan []doctor.Finding, len(e.checks))
	for i, check := range e.checks {
		found[i] = make(chan []doctor.Finding, 1)
		go func() { found[i] <- check.run(ctx) }()
	}
	late, cancel := context.WithDeadline(context.WithoutCancel(ctx), deadline(ctx).Add(time.Second))
	defer cancel() // a second for checks to end that end with the context
	for i, check := range e.checks {
		*check.to = append(*check.to, await(late, check.name, found[i])...)
	}
}

// await returns what a check has found, if it is there in time.
func await(ctx context.Context, name string, found <-chan []doctor.Finding) []doctor.Finding {
	select {
	case findings := <-found:
		return findings
	case <-ctx.Done():
	}
	select {
	case findings := <-found: // both are true
		return findings
	default:
		return []doctor.Finding{{Check: name, Status: doctor.Unknown, Message: "it took too long"}}
	}
}

func deadline(ctx context.Context) time.Time {
	if at, ok := ctx.Deadline(); ok {
		return at
	}
	return time.Now().Add(doctorTimeout)
}

// decode returns the configuration, but without what would make files, perhaps of
// another user than the server's: logs go nowhere, and authorities that Caddy
// would have to make come into a directory that goes with the examination.
func (e *examination) decode() (*caddy.Config, error) {
	var config *caddy.Config
	if err := caddy.StrictUnmarshalJSON(e.config, &config); err != nil {
		return nil, fmt.Errorf("decoding the configuration: %w", err)
	}
	if config == nil {
		config = new(caddy.Config)
	}
	config.Logging = &caddy.Logging{Logs: map[string]*caddy.CustomLog{
		caddy.DefaultLoggerName: {BaseLog: caddy.BaseLog{WriterRaw: json.RawMessage(`{"output": "discard"}`)}},
	}}
	if lacksAuthority(config) {
		config.StorageRaw, _ = json.Marshal(map[string]string{"module": "file_system", "root": e.scratch})
	}
	return config, nil
}

// lacksAuthority tells whether there is an authority of Caddy's own that the
// configuration may need and that is not in its files yet. Other storage than
// files is left as it is.
func lacksAuthority(config *caddy.Config) bool {
	storage := struct{ Module, Root string }{"file_system", caddy.AppDataDir()}
	_ = json.Unmarshal(config.StorageRaw, &storage) // what is wrong with it, Caddy says
	if storage.Module != "file_system" {
		return false
	}
	var pki struct {
		Authorities map[string]any `json:"certificate_authorities"`
	}
	_ = json.Unmarshal(config.AppsRaw["pki"], &pki)
	for _, id := range append(slices.Collect(maps.Keys(pki.Authorities)), "local") {
		if _, err := os.Stat(filepath.Join(storage.Root, "pki", "authorities", id, "root.crt")); err != nil {
			return true
		}
	}
	return false
}

// validate does what `caddy validate` does.
func (e *examination) validate() doctor.Finding {
	config, err := e.decode()
	if err == nil {
		err = caddy.Validate(config)
	}
	if err != nil {
		return doctor.Finding{
			Check:   "configuration",
			Status:  doctor.Problem,
			Message: "Caddy does not start with it: " + ours(err.Error()),
			Fix:     "what is wrong is in the message, or above; `caddy validate` says it, too",
		}
	}
	return doctor.Finding{Check: "configuration", Status: doctor.OK, Message: "it is valid"}
}

// ours cuts off the way to a fault of a kindly_webhook, which is told by Caddy in
// many words.
func ours(message string) string {
	if i := strings.LastIndex(message, "kindly_webhook \""); i >= 0 {
		return message[i:]
	}
	return message
}

// prepare makes what modules are loaded by: the configuration without its sites.
func (e *examination) prepare() {
	config, err := e.decode()
	if err != nil {
		return
	}
	config.AppsRaw = maps.Clone(config.AppsRaw)
	delete(config.AppsRaw, "http")
	delete(config.AppsRaw, "kindly")
	if ctx, err := caddy.ProvisionContext(config); err == nil {
		e.modules = &ctx
	}
}

// checkStore checks where deliveries are kept, if any are.
func (e *examination) checkStore(webhooks []*webhook) func(context.Context) []doctor.Finding {
	var config struct {
		Apps struct {
			Kindly json.RawMessage `json:"kindly"`
		} `json:"apps"`
	}
	_ = json.Unmarshal(e.config, &config) // it was decoded before
	keeps := slices.ContainsFunc(webhooks, func(w *webhook) bool { return len(w.handler.Upstreams) > 0 })
	unknown := func(why string) []doctor.Finding {
		return []doctor.Finding{{Check: "store", Status: doctor.Unknown, Message: why}}
	}
	return func(ctx context.Context) []doctor.Finding {
		if config.Apps.Kindly == nil && !keeps {
			return unknown("there is none: no kindly_webhook has an upstream")
		}
		if e.modules == nil {
			return unknown("it is not checked: the rest of the configuration cannot be loaded")
		}
		app := new(App)
		if config.Apps.Kindly != nil {
			if err := json.Unmarshal(config.Apps.Kindly, app); err != nil {
				return []doctor.Finding{{Check: "store", Status: doctor.Problem, Message: err.Error()}}
			}
		}
		e.loading.Lock()
		err := app.loadEngine(*e.modules)
		e.loading.Unlock()
		if err != nil {
			return []doctor.Finding{{Check: "store", Status: doctor.Problem, Message: err.Error()}}
		}
		findings := unknown("its engine cannot be checked before the server runs")
		if examiner, ok := app.engine.(Examiner); ok {
			findings = examiner.Examine(ctx)
		}
		return append(findings, app.checkKeys()...)
	}
}

// dependOnClock says what is in use that a wrong clock breaks.
func dependOnClock(webhooks []*webhook) []string {
	var depends []string
	if slices.ContainsFunc(webhooks, func(w *webhook) bool { return w.handler.ChatAuth != nil }) {
		depends = append(depends, "chat_auth")
	}
	signs := func(u *Upstream) bool { return u != nil && len(u.Sign) > 0 }
	if slices.ContainsFunc(webhooks, func(w *webhook) bool { return slices.ContainsFunc(w.handler.Upstreams, signs) }) {
		depends = append(depends, "sign")
	}
	return depends
}
