package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// definitions are the kinds of operators that our components speak to, as their
// makers' modules have them. Of a module that the checksum database does not list
// the sum is here.
var definitions = []struct{ kinds, module, sum, files string }{
	{kinds: "KafkaSource", module: kafkaBroker, sum: kafkaBrokerSum, files: "control-plane/config/eventing-kafka-broker/100-source/100-kafka-source.yaml"},
	{kinds: "KafkaSink", module: kafkaBroker, sum: kafkaBrokerSum, files: "control-plane/config/eventing-kafka-broker/100-sink/100-kafka-sink.yaml"},
	{kinds: "MongoDBCommunity", module: "github.com/mongodb/mongodb-kubernetes-operator@v0.13.0", files: "config/crd/bases/*.yaml"},
	{kinds: "PodMonitor", module: prometheusOperator, files: "example/prometheus-operator-crd/*_podmonitors.yaml"},
	{kinds: "PrometheusRule", module: prometheusOperator, files: "example/prometheus-operator-crd/*_prometheusrules.yaml"},
}

const (
	kafkaBroker        = "knative.dev/eventing-kafka-broker@v0.40.0"
	kafkaBrokerSum     = "h1:RC0F3ueWkgRUWQZdy7V+1YzcV6AgrMVxuzMJFU0N0V4="
	prometheusOperator = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
)

// The API server takes every manifest of every overlay and component, as far as it
// knows its kind: unknown fields, wrong types and values are errors.
func manifests(t *testing.T) {
	c := *deployed(t)
	c.namespace += "-manifests"
	c.does(t, "create", "namespace", c.namespace)
	t.Cleanup(func() {
		if _, err := c.kubectl(context.Background(), "delete", "namespace", c.namespace, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	c.define(t)

	for name, kustomization := range map[string]string{
		"dev":     "resources: [../../infra/overlays/dev]",
		"prod":    "resources: [../../infra/overlays/prod]",
		"managed": "resources: [../../infra/base]\ncomponents: [../../infra/components/sasl, ../../infra/components/dispatcher, ../../infra/components/monitoring]",
	} {
		t.Run(name, func(t *testing.T) {
			// Kustomize takes relative paths, so this is beside what is built.
			folder, err := os.MkdirTemp(filepath.Join(c.root, "bin"), "manifests-")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = os.RemoveAll(folder) }()
			if err := os.WriteFile(filepath.Join(folder, "kustomization.yaml"), []byte(kustomization+"\nnamespace: "+c.namespace+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			known, unknown := c.known(t, c.does(t, "kustomize", folder))
			if len(known.Items) == 0 {
				t.Fatal("nothing to apply")
			}
			b, err := json.Marshal(known)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(folder, "list.json")
			if err := os.WriteFile(file, b, 0o600); err != nil {
				t.Fatal(err)
			}
			c.does(t, "apply", "--dry-run=server", "--validate=strict", "-f", file)
			t.Logf("the server takes %d objects; of kinds that it doesn't know: %s", len(known.Items), strings.Join(slices.Sorted(maps.Keys(unknown)), ", "))
		})
	}
}

// define tells the server of the operators' kinds, until the story ends.
func (c *Cluster) define(t *testing.T) {
	t.Helper()
	for _, d := range definitions {
		download := []string{"go", "mod", "download", "-json", d.module}
		if d.sum != "" {
			path, _, _ := strings.Cut(d.module, "@")
			download = append([]string{"env", "GONOSUMDB=" + path}, download...)
		}
		out, err := c.command(t.Context(), download[0], download[1:]...)
		if err != nil {
			t.Logf("no definition of %s: %v", d.kinds, err)
			continue
		}
		var module struct{ Dir, Sum string }
		if err := json.Unmarshal([]byte(out), &module); err != nil {
			t.Fatal(err)
		}
		if d.sum != "" && module.Sum != d.sum {
			t.Fatalf("%s has the sum %s, want %s", d.module, module.Sum, d.sum)
		}
		files, err := filepath.Glob(filepath.Join(module.Dir, d.files))
		if err != nil || len(files) != 1 {
			t.Fatalf("%s of %s: %d files, %v", d.files, d.module, len(files), err)
		}
		if _, err := c.kubectl(t.Context(), "get", "-f", files[0]); err == nil {
			continue // its operator is installed
		}
		c.does(t, "create", "-f", files[0])
		t.Cleanup(func() {
			if _, err := c.kubectl(context.Background(), "delete", "--wait=false", "-f", files[0]); err != nil {
				t.Error(err)
			}
		})
		c.does(t, "wait", "--for=condition=Established", "--timeout=60s", "-f", files[0])
	}
}

// items is a list as kubectl takes it.
type items struct {
	APIVersion string           `json:"apiVersion"`
	Kind       string           `json:"kind"`
	Items      []map[string]any `json:"items"`
}

// known are the objects of kinds that the server knows, and the names of the other
// kinds.
func (c *Cluster) known(t *testing.T, manifests string) (known items, unknown map[string]bool) {
	t.Helper()
	known, unknown = items{APIVersion: "v1", Kind: "List"}, map[string]bool{}
	served := map[string][]string{} // kinds, by API version
	decoder := yaml.NewDecoder(bytes.NewReader([]byte(manifests)))
	for {
		var object map[string]any
		switch err := decoder.Decode(&object); {
		case errors.Is(err, io.EOF):
			return known, unknown
		case err != nil:
			t.Fatal(err)
		}
		version, kind := fmt.Sprint(object["apiVersion"]), fmt.Sprint(object["kind"])
		if _, asked := served[version]; !asked {
			served[version] = c.kinds(t, version)
		}
		if slices.Contains(served[version], kind) {
			known.Items = append(known.Items, object)
		} else {
			unknown[version+" "+kind] = true
		}
	}
}

// kinds are those that the server knows of an API's version.
func (c *Cluster) kinds(t *testing.T, version string) (kinds []string) {
	t.Helper()
	path := "/apis/" + version
	if !strings.Contains(version, "/") {
		path = "/api/" + version
	}
	out, err := c.kubectl(t.Context(), "get", "--raw", path)
	if err != nil {
		if strings.Contains(err.Error(), "NotFound") {
			return nil
		}
		t.Fatal(err)
	}
	var list struct{ Resources []struct{ Kind string } }
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		t.Fatal(err)
	}
	for _, r := range list.Resources {
		kinds = append(kinds, r.Kind)
	}
	return kinds
}
