package kindly

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

const observability = "../examples/observability/"

// dashboard is what the tests read of Grafana's format.
type dashboard struct {
	Title  string
	UID    string
	Panels []struct {
		ID         int
		Type       string
		Title      string
		Datasource struct{ UID string }
		Targets    []struct {
			Expr       string
			Datasource struct{ UID string }
		}
		GridPos struct{ X, Y, W, H int }
	}
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(readFile(t, observability+"dashboard.json")), &d))
	return d
}

// queries returns what the dashboard asks Prometheus for, as it is for all
// instances and webhooks.
func (d *dashboard) queries() (queries []string) {
	chosen := strings.NewReplacer("$__rate_interval", "5m", "$instance", ".*", "$name", ".*")
	for _, p := range d.Panels {
		for _, target := range p.Targets {
			queries = append(queries, chosen.Replace(target.Expr))
		}
	}
	return queries
}

func TestDashboard(t *testing.T) {
	d := readDashboard(t)
	require.NotEmpty(t, d.Title)
	require.NotEmpty(t, d.UID)
	require.Equal(t, "datasource", d.Templating.List[0].Type)
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		require.False(t, ids[p.ID], "two panels have the id %d", p.ID)
		ids[p.ID] = true
		require.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		if p.Type == "row" {
			continue
		}
		require.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			require.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
		}
	}
	for i, p := range d.Panels {
		for _, other := range d.Panels[:i] {
			a, b := p.GridPos, other.GridPos
			overlap := a.X < b.X+b.W && b.X < a.X+a.W && a.Y < b.Y+b.H && b.Y < a.Y+a.H
			require.False(t, overlap, "%q lies over %q", p.Title, other.Title)
		}
	}
}

// TestDashboardQueries has promtool parse them, as if they were rules.
func TestDashboardQueries(t *testing.T) {
	d := readDashboard(t)
	var rules strings.Builder
	rules.WriteString("groups:\n  - name: dashboard\n    rules:\n")
	for i, query := range d.queries() {
		fmt.Fprintf(&rules, "      - record: dashboard:query:%d\n        expr: %q\n", i, query)
	}
	path := filepath.Join(t.TempDir(), "rules.yml")
	require.NoError(t, os.WriteFile(path, []byte(rules.String()), 0o600))
	promtool(t, nil, "check", "rules", path)
}

func TestAlertRules(t *testing.T) {
	promtool(t, nil, "check", "rules", observability+"alerts.yml")
	promtool(t, nil, "test", "rules", observability+"alerts_test.yml")
}

var (
	selector = regexp.MustCompile(`(caddy_kindly_[a-z_]+)(?:\{([^}]*)\})?`)
	matcher  = regexp.MustCompile(`([a-z_]+)(=~|!=|=)"([^"]*)"`)
)

// TestObservedMetricsExist proves that what dashboard and alerts look at is
// there, with these labels, before anything has happened; of alerts, also with
// these values.
func TestObservedMetricsExist(t *testing.T) {
	l := newLifecycle(t)
	l.load(l.site(l.webhook("observed", l.desk.URL)))
	metrics := l.metrics()
	d := readDashboard(t)
	alerts := readFile(t, observability+"alerts.yml")
	var definitions []string
	for _, v := range d.Templating.List {
		definitions = append(definitions, v.Definition)
	}
	require.Empty(t, missing(metrics, strings.Join(append(d.queries(), definitions...), "\n"), false))
	require.Empty(t, missing(metrics, alerts, true))
	require.NotEmpty(t, missing(metrics, `caddy_kindly_losses_total{reason=~"dead|lost"}`, true), "the check does check")
	require.NotEmpty(t, missing(metrics, `caddy_kindly_losses_total{why="dead"}`, false))
	require.NotEmpty(t, missing(metrics, `caddy_kindly_lost_total`, false))
}

// missing returns the selectors in a text for which there are no metrics.
func missing(metrics, text string, values bool) (missing []string) {
	for _, s := range selector.FindAllStringSubmatch(text, -1) {
		var of []string
		for line := range strings.Lines(metrics) {
			if strings.HasPrefix(line, s[1]+"{") || strings.HasPrefix(line, s[1]+" ") {
				of = append(of, line)
			}
		}
		has := func(part string) bool {
			for _, line := range of {
				if strings.Contains(line, part) {
					return true
				}
			}
			return false
		}
		ok := len(of) > 0
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if m[1] == "instance" { // Prometheus' own
				continue
			}
			ok = ok && has(m[1]+`="`)
			if values && m[2] != "!=" {
				for value := range strings.SplitSeq(m[3], "|") {
					ok = ok && has(m[1]+`="`+value+`"`)
				}
			}
		}
		if !ok {
			missing = append(missing, s[0])
		}
	}
	return missing
}

// TestAlertsAreExplained proves that the page says something of each alert.
func TestAlertsAreExplained(t *testing.T) {
	page := readFile(t, observability+"README.md")
	alerts := regexp.MustCompile(`(?m)^      - alert: (\w+)$`).FindAllStringSubmatch(readFile(t, observability+"alerts.yml"), -1)
	require.Len(t, alerts, strings.Count(page, "\n### Kindly"))
	for _, alert := range alerts {
		require.True(t, strings.Contains(page, "\n### "+alert[1]+"\n"), alert[1])
	}
}
