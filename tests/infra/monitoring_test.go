package infra

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"knatter.dev/chat"
)

const promtoolFrom = "Debian: prometheus"

// expressions are those of the dashboard and of the alerts, by where they are.
func expressions(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string)
	var dashboard object
	if err := json.Unmarshal(read(t, "components/monitoring/knatter.json"), &dashboard); err != nil {
		t.Fatal(err)
	}
	for _, p := range list(dashboard, "panels") {
		for i, target := range list(p, "targets") {
			all[fmt.Sprintf("panel %q, %d", text(p, "title"), i)] = text(target, "expr")
		}
	}
	for _, r := range list(document(t, "compose/alerts.yaml"), "groups", 0, "rules") {
		all["alert "+text(r, "alert")] = text(r, "expr")
	}
	if len(all) < 20 {
		t.Fatalf("only %d expressions", len(all))
	}
	return all
}

// Everything that dashboard and alerts ask for is there in a server that has met a
// refused frame and a closed socket.
func TestMetricsExist(t *testing.T) {
	listen, admin := start(t)
	session, conn := person(t, "http://"+listen, "alice")
	talk(t, session, conn)
	if _, err := conn.Send(t.Context(), "abcd-efgh-jkmn", "into a room that there isn't"); chat.KindOf(err) == chat.Internal {
		t.Errorf("refused by %v", err)
	}
	_ = conn.Close()
	families := metrics(t, "http://"+admin+"/metrics", "knatter_connector_sockets_closed_total")
	name := regexp.MustCompile(`\b(?:knatter|go|process)_[a-z0-9_]+`)
	label := regexp.MustCompile(`[{,]\s*([a-z]+)\s*(?:=~|!=|!~|=)`)
	for where, expr := range expressions(t) {
		for _, metric := range name.FindAllString(expr, -1) {
			labels, ok := families[metric]
			if !ok {
				t.Errorf("%s asks for %s, which is not there", where, metric)
			}
			for _, m := range label.FindAllStringSubmatch(expr, -1) {
				if ok && !labels[m[1]] {
					t.Errorf("%s asks for the label %s of %s", where, m[1], metric)
				}
			}
		}
	}
}

// metrics are those at a URL, with the labels that each has there or gets where it is
// scraped, once one of them is among them.
func metrics(t *testing.T, url, awaited string) map[string]map[string]bool {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); ; {
		res, err := http.Get(url)
		if err != nil {
			t.Fatal(err)
		}
		parser := expfmt.NewTextParser(model.UTF8Validation)
		families, err := parser.TextToMetricFamilies(res.Body)
		_ = res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if families[awaited] == nil {
			if time.Now().After(deadline) {
				t.Fatalf("no %s", awaited)
			}
			continue
		}
		all := make(map[string]map[string]bool)
		for name, f := range families {
			labels := map[string]bool{"job": true, "instance": true}
			for _, m := range f.GetMetric() {
				for _, l := range m.GetLabel() {
					labels[l.GetName()] = true
				}
				if m.GetHistogram() != nil {
					labels["le"] = true
					all[name+"_bucket"], all[name+"_count"], all[name+"_sum"] = labels, labels, labels
				}
				if m.GetSummary() != nil {
					labels["quantile"] = true
				}
			}
			all[name] = labels
		}
		return all
	}
}

func TestPrometheusConfig(t *testing.T) {
	promtool := installed(t, "promtool", promtoolFrom)
	temp := t.TempDir()
	config := strings.Replace(string(read(t, "compose/prometheus.yaml")), "/etc/prometheus/alerts.yaml", absolute(t, dir+"/compose/alerts.yaml"), 1)
	file := filepath.Join(temp, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "config", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// Every expression is one, as Prometheus reads it.
func TestExpressions(t *testing.T) {
	promtool := installed(t, "promtool", promtoolFrom)
	variables := strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h")
	var rules strings.Builder
	rules.WriteString("groups:\n- name: dashboard\n  rules:\n")
	i := 0
	for _, expr := range expressions(t) {
		i++
		fmt.Fprintf(&rules, "  - record: expression:%d\n    expr: %q\n", i, variables.Replace(expr))
	}
	file := filepath.Join(t.TempDir(), "rules.yaml")
	if err := os.WriteFile(file, []byte(rules.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), promtool, "check", "rules", file).CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

// The alerts fire when they should, and not before.
func TestAlerts(t *testing.T) {
	promtool := installed(t, "promtool", promtoolFrom)
	if out, err := exec.CommandContext(t.Context(), promtool, "test", "rules", "testdata/alerts.yaml").CombinedOutput(); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestAlertsAreTheSameInBothPlaces(t *testing.T) {
	if a, b := document(t, "compose/alerts.yaml"), members(document(t, "components/monitoring/alerts.yaml"), "spec"); !reflect.DeepEqual(a, b) {
		t.Error("compose/alerts.yaml and components/monitoring/alerts.yaml differ")
	}
}
