package cluster

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"testing"

	"knatter.dev/chat/internal/wait/waittest"
)

// Nobody but the connector and the dispatcher gets anything out of a function: the
// ingress for the world knows none, and a pod of somebody else's, which reaches all
// that Knative's gateway for the cluster leads to, is refused for want of the secret.
func doors(t *testing.T) {
	c := deployed(t)
	t.Run("from the ingress", func(t *testing.T) { c.fromTheIngress(t) })
	t.Run("from a foreign pod", func(t *testing.T) { c.fromAPod(t) })
}

func (c *Cluster) fromTheIngress(t *testing.T) {
	ingress := os.Getenv("KNATTER_E2E_INGRESS")
	if ingress == "" {
		t.Skip("KNATTER_E2E_INGRESS is not set")
	}
	for _, name := range functions {
		service := "knatter-" + name
		if label := c.does(t, "get", "ksvc", service, "-o", `jsonpath={.metadata.labels.networking\.knative\.dev/visibility}`); label != "cluster-local" {
			t.Errorf("%s has the visibility %q", service, label)
		}
		inside := c.does(t, "get", "ksvc", service, "-o", "jsonpath={.status.url}")
		if !strings.HasSuffix(inside, ".svc.cluster.local") {
			t.Errorf("%s is published at %s", service, inside)
		}
		for _, host := range []string{service + "." + c.namespace + ".knatter.test", strings.TrimPrefix(strings.TrimPrefix(inside, "http://"), "https://")} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, ingress+"/v1/me", strings.NewReader("{}"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			resp, err := http.DefaultClient.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			body, _ := io.ReadAll(resp.Body)
			_ = resp.Body.Close()
			// Ours would answer with a problem document.
			if resp.StatusCode != http.StatusNotFound || strings.Contains(string(body), "knatter.dev") {
				t.Errorf("%s answers the world by %s: %s", host, resp.Status, body)
			}
		}
	}
}

// fromAPod runs the probe in a namespace of its own, as somebody else's program.
func (c *Cluster) fromAPod(t *testing.T) {
	foreign := *c
	foreign.namespace += "-foreign"
	foreign.does(t, "create", "namespace", foreign.namespace)
	t.Cleanup(func() {
		if _, err := foreign.kubectl(context.Background(), "delete", "namespace", foreign.namespace, "--wait=false"); err != nil {
			t.Error(err)
		}
	})
	args := []string{"-C", "infra/tools", "run", "./images", "-registry", os.Getenv("KNATTER_E2E_REGISTRY"), "-platforms", "linux/amd64"}
	if os.Getenv("KNATTER_E2E_INSECURE") == "1" {
		args = append(args, "-registry-insecure")
	}
	out, err := c.command(t.Context(), "go", append(args, "./tests/cluster/probe")...)
	if err != nil {
		t.Fatal(err)
	}
	_, image, _ := strings.Cut(strings.TrimSpace(out), " ")
	run := []string{"run", "probe", "--image=" + image, "--restart=Never", "--"}
	for _, name := range functions {
		run = append(run, fmt.Sprintf("http://knatter-%s.%s.svc.cluster.local", name, c.namespace))
	}
	foreign.does(t, run...)
	var phase string
	waittest.Holds(2*patience, func() bool {
		phase = foreign.does(t, "get", "pod", "probe", "-o", "jsonpath={.status.phase}")
		return phase == "Succeeded"
	})
	said := foreign.does(t, "logs", "probe")
	t.Logf("the probe says\n%s", said)
	for _, name := range functions {
		for _, shown := range []string{"nothing", "a guess"} {
			if want := fmt.Sprintf("http://knatter-%s.%s.svc.cluster.local showing %s: 401 Knatter-Secret\n", name, c.namespace, shown); !strings.Contains(said+"\n", want) {
				t.Errorf("no %q", want)
			}
		}
	}
	if phase != "Succeeded" {
		t.Errorf("the probe is %s", phase)
	}
}
