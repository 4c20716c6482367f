package infra

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"text/template"

	"knatter.dev/chat"
)

var update = flag.Bool("update", false, "write again what is generated from the tables of functions")

// generated are the parts of files that say which functions there are, by file and
// by the name in the comment in front of the part.
var generated = map[string]map[string]func(t *testing.T) string{
	"base/sources.yaml":                     {"sources": sources},
	"base/connector.yaml":                   {"addresses": clusterAddresses(chat.RequestFunctions)},
	"components/dispatcher/dispatcher.yaml": {"addresses": clusterAddresses(eventFunctions())},
	"trust-sources.sh":                      {"sources": sourceNames},
	"compose.yaml": {
		"request functions":              composeServices(chat.RequestFunctions),
		"event functions":                composeServices(eventFunctions()),
		"addresses of request functions": composeAddresses(chat.RequestFunctions),
		"addresses of event functions":   composeAddresses(eventFunctions()),
	},
}

// part is a generated part of a file, between two comments.
var part = regexp.MustCompile(`(?ms)^ *# generated: ([a-z ]+)\n(.*?)^ *# generated so far\n`)

// TestGeneratedPartsAreCurrent checks the parts of files that are generated from the
// tables of functions, or writes them.
func TestGeneratedPartsAreCurrent(t *testing.T) {
	for file, parts := range generated {
		before := string(read(t, file))
		after := before
		found := make(map[string]bool)
		for _, m := range part.FindAllStringSubmatch(before, -1) {
			whole, name, got := m[0], m[1], m[2]
			if parts[name] == nil || found[name] {
				t.Errorf("%s: a part %q is not known, or there twice", file, name)
				continue
			}
			found[name] = true
			want := indented(parts[name](t), len(whole)-len(strings.TrimLeft(whole, " ")))
			if got != want && !*update {
				t.Errorf("%s: the part %q is not what the tables of functions say; go test ./tests/infra -run Generated -update writes it again. It should be\n%s", file, name, want)
			}
			after = strings.Replace(after, whole, strings.Replace(whole, got, want, 1), 1)
		}
		if len(found) != len(parts) {
			t.Errorf("%s has the parts %v, want %d", file, found, len(parts))
		}
		if after != before && *update {
			if err := os.WriteFile(filepath.Join(dir, file), []byte(after), 0o600); err != nil { // it keeps its mode
				t.Fatal(err)
			}
		}
	}
}

func indented(text string, by int) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		if strings.TrimSpace(line) != "" {
			b.WriteString(strings.Repeat(" ", by))
		}
		b.WriteString(line)
	}
	return b.String()
}

func render(t *testing.T, text *template.Template, values any) string {
	t.Helper()
	var b strings.Builder
	if err := text.Execute(&b, values); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// sources are the KafkaSources of all that follows the log.
func sources(t *testing.T) string {
	var b strings.Builder
	for _, f := range chat.Followers {
		b.WriteString(render(t, source, map[string]any{"Function": f, "Signals": f.Topic == chat.TopicSignals, "Service": functionName(t, f.Function())}))
	}
	return b.String()
}

// sourceNames is the loop over the same sources in a script.
func sourceNames(*testing.T) string {
	var names []string
	for _, f := range chat.Followers {
		names = append(names, f.Name)
	}
	return "for source in " + strings.Join(names, " ") + "; do\n"
}

var source = template.Must(template.New("").Parse(`{{if .Signals -}}
# Signals are of use at once or not at all: nothing is tried again, nothing is kept.
{{else if .Function.Ordered -}}
# One event after the other in each partition: partitions ÷ its time for an event is
# the most that it can do.
{{end -}}
apiVersion: sources.knative.dev/v1beta1
kind: KafkaSource
metadata:
  name: {{.Function.Name}}
spec:
  consumerGroup: {{.Function.Group}}
  initialOffset: {{if .Signals}}latest{{else}}earliest{{end}}
  topics: [{{.Function.Topic}}]
  bootstrapServers: [KNATTER_BROKERS] # put in by the overlay
  ordering: {{if not .Function.Ordered}}un{{end}}ordered
  consumers: 1
  delivery:
{{- if .Signals}}
    retry: 0
{{- else}}
    retry: 300
    backoffPolicy: linear
    backoffDelay: PT0.2S
    deadLetterSink:
      ref: {apiVersion: eventing.knative.dev/v1alpha1, kind: KafkaSink, name: dead}
{{- end}}
  sink:
    ref: {apiVersion: serving.knative.dev/v1, kind: Service, name: {{.Service}}}
---
`))

// clusterAddresses are the settings by which functions are found in a cluster.
func clusterAddresses(functions []string) func(t *testing.T) string {
	return func(t *testing.T) string {
		var b strings.Builder
		for _, name := range functions {
			fmt.Fprintf(&b, "- {name: KNATTER_FUNCTION_%s, value: \"http://%s.$(NAMESPACE).svc.cluster.local\"}\n", strings.ToUpper(name), functionName(t, name))
		}
		return b.String()
	}
}

// composeAddresses are the settings by which functions are found in compose's network.
func composeAddresses(functions []string) func(*testing.T) string {
	return func(*testing.T) string {
		var b strings.Builder
		for _, name := range functions {
			fmt.Fprintf(&b, "KNATTER_FUNCTION_%s: http://%s:8080\n", strings.ToUpper(name), name)
		}
		return b.String()
	}
}

// composeServices are functions as services. Most need nothing but what all have.
func composeServices(functions []string) func(t *testing.T) string {
	return func(t *testing.T) string {
		var services []string
		for _, name := range functions {
			own := ""
			switch name {
			case "accounts":
				own = "  environment: *with-keys\n  volumes: [*callers, \"keys:/keys:ro\"]\n"
			case "index", "search":
				own = "  mem_limit: 384m\n  environment: *with-dictionary\n"
			}
			services = append(services, render(t, service, map[string]any{"Name": name, "Own": own}))
		}
		return strings.Join(services, "\n")
	}
}

var service = template.Must(template.New("").Parse(`{{.Name}}:
  <<: *function
  image: knatter/{{.Name}}
  build: {context: .., dockerfile: infra/Dockerfile, target: probed, args: {BINARY: {{.Name}}}}
{{.Own}}`))

// Every function has its folder, and no folder is left of one that is gone.
func TestFunctionsHaveTheirFolders(t *testing.T) {
	folders, err := filepath.Glob(root + "/functions/*/func.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, f := range folders {
		names = append(names, filepath.Base(filepath.Dir(f)))
	}
	want := slices.Sorted(slices.Values(slices.Concat(chat.RequestFunctions, eventFunctions())))
	if !slices.Equal(names, want) {
		t.Errorf("the folders %v, the tables have %v", names, want)
	}
}
