package infra

import (
	"crypto/rand"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kfake"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/listen/listentest"
	"knatter.dev/chat/internal/mongo/mongotest"
)

// composed is what the compose file starts, as processes here: the same programs,
// commands, environment, order and health checks, at other addresses.
type composed struct {
	binaries  string
	programs  map[string]object
	addresses map[string]string // here, by host and port there
	elsewhere map[string]string // what compose's other containers have, by how it is named there
	done      map[string]bool
}

// People chat through two connectors of the compose file. Its Redpanda and MongoDB are
// the embedded log and FerretDB here; containers there are none.
func TestComposeRuns(t *testing.T) {
	slow(t, "it builds all binaries and FerretDB")
	binaries, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	keys := filepath.Join(t.TempDir(), "keys.pem")
	if _, err := auth.LoadOrCreateKey(keys); err != nil {
		t.Fatal(err)
	}
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte(rand.Text()), 0o600); err != nil {
		t.Fatal(err)
	}
	_, programs := services(t)
	c := composed{binaries: binaries, programs: programs, addresses: make(map[string]string), done: make(map[string]bool)}
	c.elsewhere = map[string]string{
		"redpanda:9092":   cluster.ListenAddrs()[0],
		"/keys/keys.pem":  keys,
		"/callers/secret": secret,
		text(programs["persist"], "environment", "KNATTER_STORE"): mongotest.Database(t),
	}
	for name := range programs {
		for _, port := range []string{":8080", ":8081"} {
			c.addresses[name+port] = listentest.Address(t)
		}
	}
	for name := range programs {
		c.start(t, name)
	}

	alice, aliceConn := person(t, "http://"+c.addresses["connector-0:8080"], "alice")
	bob, bobConn := person(t, "http://"+c.addresses["connector-1:8080"], "bob")
	room, err := alice.CreateRoom(t.Context(), "Parrots")
	if err != nil {
		t.Fatal(err)
	}
	if err := bob.Join(t.Context(), room.ID); err != nil {
		t.Fatal(err)
	}
	if err := bobConn.Subscribe(t.Context(), room.ID); err != nil {
		t.Fatal(err)
	}
	sent, err := aliceConn.Send(t.Context(), room.ID, "hi from the other side")
	if err != nil {
		t.Fatal(err)
	}
	sees(t, bobConn, sent)

	// Nobody else is let in.
	for _, f := range slices.Concat(chat.RequestFunctions, eventFunctions()) {
		resp, err := http.Post("http://"+c.addresses[f+":8080"]+"/v1/me", "application/json", strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		if !auth.Challenged(resp) {
			t.Errorf("%s answers a stranger by %s", f, resp.Status)
		}
	}
}

// start starts a service after those that it depends on, and waits as they say.
func (c *composed) start(t *testing.T, name string) {
	t.Helper()
	s, ours := c.programs[name]
	if !ours || c.done[name] {
		return
	}
	c.done[name] = true
	for on := range members(s, "depends_on") {
		c.start(t, on)
	}
	var args []string
	for _, a := range list(s, "command") {
		args = append(args, a.(string))
	}
	cmd := exec.Command(filepath.Join(c.binaries, binary(s)), args...)
	cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "KNATTER_") })
	for key, value := range members(s, "environment") {
		cmd.Env = append(cmd.Env, key+"="+c.here(name, value.(string)))
	}
	if text(s, "restart") == "" {
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out)
		}
		return
	}
	run(t, cmd)
	asks := list(s, "healthcheck", "test")
	u, err := url.Parse(asks[len(asks)-1].(string))
	if err != nil {
		t.Fatal(err)
	}
	u.Host = c.addresses[name+":"+u.Port()]
	answers(t, u.String())
}

// here is a value of a service's environment with the addresses of this machine.
func (c *composed) here(name, value string) string {
	if there, ok := c.elsewhere[value]; ok {
		return there
	}
	if address, ok := c.addresses[name+value]; ok { // where it listens: ":8080"
		return address
	}
	u, err := url.Parse(value)
	if err != nil || c.addresses[u.Host] == "" {
		return value
	}
	u.Host = c.addresses[u.Host]
	return u.String()
}
