package kindly

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/modules/caddyhttp"

	"github.com/caddy-kindly/caddy-kindly/kindlyhandler"
	"github.com/caddy-kindly/caddy-kindly/kindlyhandler/doctor"
)

// addWebhook adds the checks of a webhook.
func (e *examination) addWebhook(w *webhook, to *[]doctor.Finding) {
	if w.err != nil {
		*to = append(*to, wrong("configuration", w.err))
		return
	}
	h := w.handler
	*to = append(*to, checkPlaceholders(w.raw)...)
	e.add(to, "secret", func(context.Context) []doctor.Finding { return checkSecrets(h) })
	e.add(to, "api_key", func(ctx context.Context) []doctor.Finding { return e.checkTranscripts(ctx, h) })
	if h.ChatAuth != nil {
		e.add(to, "chat_auth", func(context.Context) []doctor.Finding { return checkChatAuth(h.ChatAuth) })
	}
	for _, u := range h.Upstreams {
		if u != nil { // else the configuration is not valid
			e.add(to, upstreamCheck(u), func(ctx context.Context) []doctor.Finding { return e.checkUpstream(ctx, u) })
		}
	}
	e.add(to, "certificate", w.checkCertificates()...)
}

// wrong is a finding whose error says what to write instead.
func wrong(check string, err error) doctor.Finding {
	return doctor.Finding{Check: check, Status: doctor.Problem, Message: strings.TrimPrefix(err.Error(), check+": ")}
}

// unchecked is a finding about what lacks a placeholder's value, if it does: that
// is told by a finding of its own.
func unchecked(check string, of any) (f doctor.Finding, lacks bool) {
	missing := missingPlaceholders(of)
	if len(missing) == 0 {
		return f, false
	}
	return doctor.Finding{
		Check:   check,
		Status:  doctor.Unknown,
		Message: "it is not checked without a value of " + strings.Join(slices.Sorted(maps.Keys(missing)), " and "),
	}, true
}

func checkSecrets(h *Handler) []doctor.Finding {
	if f, lacks := unchecked("secret", h.Secrets); lacks {
		return []doctor.Finding{f}
	}
	var secrets []string
	for _, secret := range h.Secrets {
		resolved, err := resolve("secret", secret)
		if err != nil {
			return []doctor.Finding{wrong("secret", err)}
		}
		secrets = append(secrets, resolved)
	}
	return []doctor.Finding{kindlyhandler.CheckSecrets(secrets)}
}

func (e *examination) checkTranscripts(ctx context.Context, h *Handler) []doctor.Finding {
	if f, lacks := unchecked("api_key", []any{h.APIKey, h.Transcript}); lacks {
		return []doctor.Finding{f}
	}
	if t := h.Transcript; t != nil && t.TransportRaw != nil && e.modules == nil {
		return []doctor.Finding{noTransport("api_key")}
	}
	e.loading.Lock()
	options, err := h.transcriptOptions(e.context())
	e.loading.Unlock()
	switch {
	case err != nil:
		return []doctor.Finding{wrong("api_key", err)}
	case options == nil: // tickets go without transcripts
		return nil
	default:
		return []doctor.Finding{kindlyhandler.CheckTranscripts(ctx, *options, &e.prober)}
	}
}

// context returns what modules are loaded by; without any to load, it is not
// used.
func (e *examination) context() caddy.Context {
	if e.modules == nil {
		return caddy.Context{Context: context.Background()}
	}
	return *e.modules
}

func noTransport(check string) doctor.Finding {
	return doctor.Finding{Check: check, Status: doctor.Unknown, Message: "it is not checked: its transport cannot be loaded"}
}

func checkChatAuth(a *ChatAuth) []doctor.Finding {
	if len(a.KeyFiles) == 0 {
		return []doctor.Finding{{Check: "chat_auth", Status: doctor.Problem, Message: "it has no file with public keys", Fix: "write `chat_auth <public key file...>`"}}
	}
	var findings []doctor.Finding
	for _, name := range a.KeyFiles {
		if f, lacks := unchecked("chat_auth", name); lacks {
			findings = append(findings, f)
			continue
		}
		options, err := (&ChatAuth{KeyFiles: []string{name}}).options()
		if err != nil {
			findings = append(findings, wrong("chat_auth", err))
			continue
		}
		findings = append(findings, doctor.Finding{
			Check:   "chat_auth",
			Status:  doctor.OK,
			Message: fmt.Sprintf("%s has %s", name, plural(len(options.Keys), "public key")),
		})
	}
	return findings
}

func upstreamCheck(u *Upstream) string {
	return "upstream " + kindlyhandler.UpstreamName(u.Name, u.Preset)
}

func (e *examination) checkUpstream(ctx context.Context, u *Upstream) []doctor.Finding {
	name := upstreamCheck(u)
	if f, lacks := unchecked(name, u); lacks {
		return []doctor.Finding{f}
	}
	if u.TransportRaw != nil && e.modules == nil {
		return []doctor.Finding{noTransport(name)}
	}
	e.loading.Lock()
	options, err := u.options(e.context())
	e.loading.Unlock()
	if err != nil {
		return []doctor.Finding{wrong(name, err)}
	}
	return kindlyhandler.CheckUpstream(ctx, options, lookup(), &e.prober)
}

// mereTexts are fields in which a placeholder without a value only leaves a gap.
var mereTexts = []string{"reply", "reply_pending", "reply_failed", "new_context", "exchange_slug", "buttons"}

// checkPlaceholders tells of global placeholders without a value, by the fields
// that have them.
func checkPlaceholders(raw map[string]any) []doctor.Finding {
	missing := missingPlaceholders(raw)
	findings := make([]doctor.Finding, 0, len(missing))
	for _, name := range slices.Sorted(maps.Keys(missing)) {
		f := doctor.Finding{
			Check:   "placeholder",
			Status:  doctor.Warning,
			Message: fmt.Sprintf("%s has no value, and is in %s", name, strings.Join(missing[name], ", ")),
			Fix:     "set the variable where the server is started, and for this command (--envfile)",
		}
		if strings.HasPrefix(name, "{file.") {
			f.Fix = "write the file, so that the server's user can read it"
		}
		if slices.ContainsFunc(missing[name], func(field string) bool { return !isText(field) }) {
			f.Status = doctor.Problem
		}
		findings = append(findings, f)
	}
	return findings
}

func isText(field string) bool {
	top, _, _ := strings.Cut(field, ".")
	return slices.Contains(mereTexts, top)
}

// missingPlaceholders returns the global placeholders in a value, given as JSON
// or to be encoded so, that have no value, with the fields that they are in.
func missingPlaceholders(v any) map[string][]string {
	missing := make(map[string][]string)
	text, err := json.Marshal(v)
	if err != nil {
		return missing
	}
	var plain any
	_ = json.Unmarshal(text, &plain) // what Marshal made
	replacer := caddy.NewReplacer()
	walkStrings(plain, "", func(field, value string) {
		for _, at := range placeholder.FindAllStringIndex(value, -1) {
			name := value[at[0]:at[1]]
			if at[0] > 0 && value[at[0]-1] == '\\' {
				continue
			}
			if v, _ := replacer.GetString(name[1 : len(name)-1]); v == "" && !slices.Contains(missing[name], field) {
				missing[name] = append(missing[name], field)
			}
		}
	})
	return missing
}

// walkStrings visits all strings in a JSON value, with the names of the fields
// that lead to them; elements of lists have that of the list.
func walkStrings(v any, field string, visit func(field, value string)) {
	switch v := v.(type) {
	case string:
		visit(field, v)
	case []any:
		for _, element := range v {
			walkStrings(element, field, visit)
		}
	case map[string]any:
		for _, key := range slices.Sorted(maps.Keys(v)) {
			walkStrings(v[key], strings.TrimPrefix(field+"."+key, "."), visit)
		}
	}
}

// checkCertificates checks the certificates of the sites that have the webhook.
func (w *webhook) checkCertificates() []func(context.Context) []doctor.Finding {
	type site struct{ address, host string }
	var seen []site
	var checks []func(context.Context) []doctor.Finding
	found := func(f doctor.Finding) func(context.Context) []doctor.Finding {
		return func(context.Context) []doctor.Finding { return []doctor.Finding{f} }
	}
	for _, p := range w.places {
		hosts := p.hosts
		if len(hosts) == 0 {
			hosts = []string{""}
		}
		for _, host := range hosts {
			address := p.server.address(host)
			if slices.Contains(seen, site{address, host}) {
				continue
			}
			seen = append(seen, site{address, host})
			check := strings.TrimSpace("certificate " + host)
			switch {
			case address == "":
				checks = append(checks, found(doctor.Finding{
					Check:   check,
					Status:  doctor.Warning,
					Message: "the site is served without TLS",
					Fix:     "leave it so only behind something that has a certificate: webhooks have people's data in them, and Kindly calls over the internet",
				}))
			case host == "" || strings.ContainsAny(host, "*{"):
				checks = append(checks, found(doctor.Finding{Check: check, Status: doctor.Unknown, Message: "it is not checked: the site has no certain name"}))
			default:
				checks = append(checks, func(ctx context.Context) []doctor.Finding {
					return []doctor.Finding{doctor.Certificate(ctx, address, host, nil, time.Now())}
				})
			}
		}
	}
	return checks
}

// address returns where a server listens with TLS for a host, as it is reached
// from this machine; empty if it does not.
func (s *server) address(host string) string {
	httpPort := cmp.Or(s.httpPort, caddyhttp.DefaultHTTPPort)
	for _, listen := range s.Listen {
		address, err := caddy.ParseNetworkAddress(listen)
		if err != nil || address.IsUnixNetwork() || address.IsFdNetwork() {
			continue
		}
		port := address.StartPort
		automatic := !s.Automatic.Disable && !slices.Contains(s.Automatic.Skip, host) && host != "" && port != uint(httpPort)
		if len(s.Policies) == 0 && !automatic {
			continue
		}
		ip := address.Host
		if parsed := net.ParseIP(ip); ip == "" || parsed != nil && parsed.IsUnspecified() {
			ip = "localhost"
		}
		return net.JoinHostPort(ip, strconv.FormatUint(uint64(port), 10))
	}
	return ""
}
