package cluster

import (
	"bytes"
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/connector/client"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/mongo/mongotest"
	"knatter.dev/chat/internal/wait"
	"knatter.dev/chat/tests/engines/kafka"
)

// Cluster is the chat on a cluster.
type Cluster struct {
	namespace string
	root      string   // of the repository
	brokers   string   // as the cluster sees them
	urls      []string // of the connectors, and last of all of them together
	keep      bool
	stops     []func() error // last first
}

// functions are all of them, those of events first.
var functions = func() (names []string) {
	for _, f := range chat.EventFunctions {
		names = append(names, f.Name)
	}
	return append(names, chat.RequestFunctions...)
}()

const (
	connectors   = 2
	anyConnector = connectors // whichever the service leads to
)

func deploy(ctx context.Context) (c *Cluster, err error) {
	c = &Cluster{namespace: cmp.Or(os.Getenv("KNATTER_E2E_NAMESPACE"), "knatter-e2e"), keep: os.Getenv("KNATTER_E2E_KEEP") == "1"}
	defer func() {
		if err != nil {
			err = fmt.Errorf("%w\n%s", errors.Join(err, c.close()), c.state())
		}
	}()
	if c.root, err = filepath.Abs("../.."); err != nil {
		return c, err
	}
	store, err := c.engines(ctx)
	if err != nil {
		return c, err
	}
	begin := time.Now()
	if !c.keep || !c.there(ctx) {
		if err := c.install(ctx, store); err != nil {
			return c, err
		}
	}
	fmt.Printf("deployed in %v\n", time.Since(begin).Round(time.Second))
	return c, c.reach(ctx)
}

// engines sees to a log and a store, and returns the store's URL.
func (c *Cluster) engines(ctx context.Context) (store string, err error) {
	host := os.Getenv("KNATTER_E2E_HOST")
	if host == "" {
		c.brokers = os.Getenv("KNATTER_BROKERS")
		if store = os.Getenv("KNATTER_STORE"); c.brokers == "" || store == "" {
			return "", errors.New("either KNATTER_E2E_HOST or both of KNATTER_BROKERS and KNATTER_STORE must be set")
		}
		return store, nil
	}
	data, err := os.MkdirTemp("", "knatter-e2e-")
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, func() error { return os.RemoveAll(data) })
	log, err := kafka.Start(ctx, kafka.Options{Dir: filepath.Join(data, "kafka"), Host: host, Port: 9092, Heap: 400, LongLived: true})
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, log.Close)
	c.brokers = strings.Join(log.Addrs(), ",")
	url, stop, err := mongotest.Listen(net.JoinHostPort(host, "27017"), filepath.Join(data, "store"))
	if err != nil {
		return "", err
	}
	c.stops = append(c.stops, func() error { stop(); return nil })
	return strings.TrimSuffix(url, "/") + "/knatter", nil
}

func (c *Cluster) there(ctx context.Context) bool {
	_, err := c.kubectl(ctx, "get", "statefulset/connector")
	return err == nil
}

// install deploys everything, as infra/README.md says.
func (c *Cluster) install(ctx context.Context, store string) error {
	registry := os.Getenv("KNATTER_E2E_REGISTRY")
	if registry == "" {
		return errors.New("KNATTER_E2E_REGISTRY must be set")
	}
	var insecure []string
	if os.Getenv("KNATTER_E2E_INSECURE") == "1" {
		insecure = []string{"-registry-insecure"}
	}
	images, err := c.images(ctx, registry, insecure)
	if err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, "get", "namespace", c.namespace); err != nil {
		if _, err := c.kubectl(ctx, "create", "namespace", c.namespace); err != nil {
			return err
		}
	}
	if !c.keep {
		c.stops = append(c.stops, func() error {
			_, err := c.kubectl(context.Background(), "delete", "namespace", c.namespace, "--wait=false")
			return err
		})
	}
	if err := c.secret(ctx, store); err != nil {
		return err
	}
	// Kustomize takes relative paths, so what is made here is beside what is built.
	overlay := filepath.Join(c.root, "bin", "e2e")
	if err := os.MkdirAll(overlay, 0o755); err != nil {
		return err
	}
	text := fmt.Sprintf(`resources: [../../tests/cluster/overlay]
namespace: %s
images:
%s
patches:
  - target: {kind: ConfigMap, name: knatter}
    patch: |
      - {op: replace, path: /data/KNATTER_BROKERS, value: %q}
`, c.namespace, images, c.brokers)
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"), []byte(text), 0o644); err != nil {
		return err
	}
	if _, err := c.kubectl(ctx, "apply", "-k", overlay); err != nil {
		return err
	}
	args := append([]string{"run", "./infra/deploy", "-namespace", c.namespace, "-registry", registry}, insecure...)
	if _, err := c.command(ctx, "go", args...); err != nil {
		return err
	}
	for _, what := range []string{"statefulset/connector", "deployment/dispatcher"} {
		if _, err := c.kubectl(ctx, "rollout", "status", what, "--timeout=5m"); err != nil {
			return err
		}
	}
	return nil
}

// images pushes the programs that are not functions, and returns where they are, as
// a kustomization says it.
func (c *Cluster) images(ctx context.Context, registry string, insecure []string) (string, error) {
	args := append([]string{"-C", "infra/tools", "run", "./images", "-registry", registry, "-platforms", "linux/amd64"}, insecure...)
	out, err := c.command(ctx, "go", append(args, "./connector/cmd/connector", "./infra/dispatcher", "./infra/admin")...)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for line := range strings.Lines(out) {
		name, reference, _ := strings.Cut(strings.TrimSpace(line), " ")
		repository, digest, ok := strings.Cut(reference, "@")
		if !ok {
			return "", fmt.Errorf("images said %q", line)
		}
		repository, _, _ = strings.Cut(repository, ":latest")
		fmt.Fprintf(&b, "  - {name: knatter/%s, newName: %q, digest: %q}\n", name, repository, digest)
	}
	return strings.TrimRight(b.String(), "\n"), nil
}

// secret creates what ConfigMaps are not for.
func (c *Cluster) secret(ctx context.Context, store string) error {
	dir, err := os.MkdirTemp("", "knatter-e2e-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	keys := filepath.Join(dir, "keys.pem")
	if _, err := auth.LoadOrCreateKey(keys); err != nil {
		return err
	}
	_, err = c.kubectl(ctx, "create", "secret", "generic", "knatter", "--from-file="+keys,
		"--from-literal=KNATTER_STORE="+store, "--from-literal=KNATTER_STORE_READ="+store, "--from-literal=KNATTER_SASL_PASSWORD=", "--from-literal=KNATTER_CALLER_SECRET="+rand.Text())
	return err
}

// reach finds out where the connectors are reached from here: by their services'
// addresses if this machine sees them, else through kubectl.
func (c *Cluster) reach(ctx context.Context) error {
	for i := range connectors + 1 {
		name := fmt.Sprint("connector-", i)
		if i == anyConnector {
			name = "connector"
		}
		ip, err := c.kubectl(ctx, "get", "service", name, "-o", "jsonpath={.spec.clusterIP}")
		if err != nil {
			return err
		}
		if conn, err := net.DialTimeout("tcp", net.JoinHostPort(ip, "80"), 2*time.Second); err == nil {
			_ = conn.Close()
			c.urls = append(c.urls, "http://"+ip)
			continue
		}
		address, err := c.forward(ctx, "service/"+name)
		if err != nil {
			return err
		}
		c.urls = append(c.urls, "http://"+address)
	}
	return nil
}

// gateway is where the ingress for the cluster's own services is reachable, which
// leads to a function by its name in the cluster.
func (c *Cluster) gateway(t *testing.T) string {
	t.Helper()
	name := c.does(t, "get", "service/knatter-"+functions[0], "-o", "jsonpath={.spec.externalName}")
	part := strings.Split(name, ".")
	if len(part) < 2 {
		t.Fatalf("the services lead to %q", name)
	}
	address, err := c.forward(t.Context(), "service/"+part[0], "--namespace="+part[1])
	if err != nil {
		t.Fatal(err)
	}
	return "http://" + address
}

// forward keeps a service's port reachable, also when the pod that it leads to has
// gone and another has come. The flags are kubectl's.
func (c *Cluster) forward(ctx context.Context, service string, flags ...string) (address string, err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	address = l.Addr().String()
	_, port, _ := net.SplitHostPort(address)
	if err := l.Close(); err != nil {
		return "", err
	}
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() { // ended by the stop below
		defer close(done)
		for ctx.Err() == nil {
			_, _ = c.kubectl(ctx, append([]string{"port-forward", service, port + ":80"}, flags...)...) // until the pod is gone
			wait.For(time.Second, ctx.Done())
		}
	}()
	c.stops = append(c.stops, func() error { cancel(); <-done; return nil })
	for begin := time.Now(); time.Since(begin) < patience; wait.For(100*time.Millisecond, ctx.Done()) {
		if conn, err := net.Dial("tcp", address); err == nil {
			return address, conn.Close()
		}
	}
	return "", fmt.Errorf("%s is not reachable through kubectl", service)
}

// Client is a client of a connector.
func (c *Cluster) Client(connector int) *client.Client {
	return client.New(c.urls[connector%len(c.urls)])
}

func (c *Cluster) close() error {
	var errs []error
	for i := len(c.stops) - 1; i >= 0; i-- {
		errs = append(errs, c.stops[i]())
	}
	c.stops = nil
	return errors.Join(errs...)
}

// kubectl runs kubectl in the namespace.
func (c *Cluster) kubectl(ctx context.Context, args ...string) (string, error) {
	return c.command(ctx, "kubectl", append([]string{"--namespace", c.namespace}, args...)...)
}

func (c *Cluster) command(ctx context.Context, name string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.root
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("%s %s: %w\n%s%s", name, strings.Join(args, " "), err, out.String(), complaint.String())
	}
	return strings.TrimSpace(out.String()), nil
}

// does runs kubectl, which must succeed.
func (c *Cluster) does(t *testing.T, args ...string) string {
	t.Helper()
	out, err := c.kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// state is what is there, for whoever looks for the reason of a failure.
func (c *Cluster) state() string {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var b strings.Builder
	for _, args := range [][]string{
		{"get", "pods,ksvc", "-o", "wide"},
		{"get", "events", "--sort-by=.lastTimestamp", "--field-selector=type=Warning"},
		{"logs", "-l", "app.kubernetes.io/name in (connector,dispatcher)", "--tail=20", "--prefix"},
		{"logs", "-l", "serving.knative.dev/service", "-c", "user-container", "--tail=3", "--prefix"},
	} {
		out, err := c.kubectl(ctx, args...)
		if err != nil {
			out = err.Error()
		}
		fmt.Fprintf(&b, "--- kubectl %s\n%s\n", strings.Join(args, " "), out)
	}
	return b.String()
}

// Replicas are how many pods of each function are wanted, and how many are there.
func (c *Cluster) Replicas(ctx context.Context) (wanted, there map[string]int, err error) {
	out, err := c.kubectl(ctx, "get", "deployments,pods", "-l", "serving.knative.dev/service", "-o", "json")
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Items []struct {
			Kind     string
			Metadata struct {
				Labels            map[string]string
				DeletionTimestamp *time.Time
			}
			Spec   struct{ Replicas int }
			Status struct{ Phase string }
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, nil, err
	}
	wanted, there = map[string]int{}, map[string]int{}
	for _, item := range list.Items {
		name := strings.TrimPrefix(item.Metadata.Labels["serving.knative.dev/service"], "knatter-")
		switch {
		case item.Kind == "Deployment":
			wanted[name] += item.Spec.Replicas
		case item.Status.Phase == "Running" || item.Status.Phase == "Pending":
			there[name]++
		}
	}
	return wanted, there, nil
}

// Idle waits until no function has a pod any more, and says how long it took until
// none was wanted.
func (c *Cluster) Idle(t *testing.T) time.Duration {
	t.Helper()
	begin := time.Now()
	var unwanted time.Duration
	for time.Since(begin) < 2*patience {
		wanted, there, err := c.Replicas(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if sum(wanted) == 0 && unwanted == 0 {
			unwanted = time.Since(begin)
		}
		if sum(wanted) > 0 {
			unwanted = 0
		}
		if sum(wanted)+sum(there) == 0 {
			return unwanted
		}
		wait.For(500*time.Millisecond, t.Context().Done())
	}
	t.Fatalf("not all functions go to zero:\n%s", c.state())
	return 0
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
