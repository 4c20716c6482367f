package cluster

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat/internal/wait"
)

// worse is how much longer than a service that does nothing a function may take for
// its first answer from zero.
const worse = 300 * time.Millisecond

// The first answer from zero of each function costs little more than that of a
// service that does nothing, in the same run.
func coldStart(t *testing.T) {
	hello := os.Getenv("KNATTER_E2E_HELLO")
	if hello == "" {
		t.Skip("needs a service to compare with: KNATTER_E2E_HELLO")
	}
	c := deployed(t)
	c.apply(t, fmt.Sprintf(`
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: knatter-hello
  labels: {networking.knative.dev/visibility: cluster-local}
spec:
  template:
    spec:
      containers:
      - image: %q
        readinessProbe: {httpGet: {path: /}}
        securityContext:
          allowPrivilegeEscalation: false
          capabilities: {drop: [ALL]}
          runAsNonRoot: true
          runAsUser: 65532
          seccompProfile: {type: RuntimeDefault}
`, hello))
	t.Cleanup(func() {
		if _, err := c.kubectl(context.Background(), "delete", "ksvc/knatter-hello"); err != nil {
			t.Error(err)
		}
	})
	c.does(t, "wait", "ksvc/knatter-hello", "--for=condition=Ready", "--timeout=60s")

	gateway := c.gateway(t)
	names := append([]string{"hello"}, functions...)
	hosts := map[string]string{}
	for _, name := range names {
		url := c.does(t, "get", "ksvc/knatter-"+name, "-o", "jsonpath={.status.url}")
		_, hosts[name], _ = strings.Cut(url, "://")
	}
	times := map[string][]time.Duration{}
	const rounds = 3
	for range rounds {
		c.Idle(t)
		for _, i := range rand.Perm(len(names)) {
			name := names[i]
			begin := time.Now()
			c.asks(t, gateway, hosts[name])
			times[name] = append(times[name], time.Since(begin))
			wait.For(time.Second, t.Context().Done()) // for what the start left to do
		}
	}
	c.tellsUsage(t)
	base := percentile(times["hello"], .5)
	t.Logf("%-9s median %6v", "hello", base.Round(time.Millisecond))
	for _, name := range functions {
		median := percentile(times[name], .5)
		t.Logf("%-9s median %6v, %+5d ms (of %v)", name, median.Round(time.Millisecond), (median - base).Milliseconds(), rounded(times[name]))
		if median-base > worse {
			t.Errorf("%s costs %v more than a service that does nothing", name, median-base)
		}
	}
}

// asks waits for an answer of the function's own, whatever it says.
func (c *Cluster) asks(t *testing.T, gateway, host string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, gateway+"/health/liveness", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	r.Close = true
	resp, err := (&http.Client{Timeout: patience}).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %s, %v", host, resp.Status, body, err)
	}
}

// apply has kubectl apply a manifest.
func (c *Cluster) apply(t *testing.T, manifest string) {
	t.Helper()
	file := t.TempDir() + "/manifest.yaml"
	if err := os.WriteFile(file, []byte(manifest), 0o600); err != nil {
		t.Fatal(err)
	}
	c.does(t, "apply", "-f", file)
}

func rounded(times []time.Duration) []time.Duration {
	out := make([]time.Duration, len(times))
	for i, d := range times {
		out[i] = d.Round(time.Millisecond)
	}
	return out
}
