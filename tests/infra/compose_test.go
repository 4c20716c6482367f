package infra

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"knatter.dev/chat"
)

func compose(t *testing.T) object { return document(t, "compose.yaml") }

// services are those of the compose file by name; programs those of them that are ours.
func services(t *testing.T) (all, programs map[string]object) {
	t.Helper()
	all, programs = make(map[string]object), make(map[string]object)
	for name, s := range members(compose(t), "services") {
		all[name] = s.(object)
		if binary(all[name]) != "" {
			programs[name] = all[name]
		}
	}
	return all, programs
}

// binary is which of our binaries a service runs.
func binary(service object) string { return text(service, "build", "args", "BINARY") }

func eventFunctions() (names []string) {
	for _, f := range chat.EventFunctions {
		names = append(names, f.Name)
	}
	return names
}

func TestComposeSchema(t *testing.T) {
	schema, err := jsonschema.NewCompiler().Compile("testdata/compose-spec.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := schema.Validate(map[string]any(compose(t))); err != nil {
		t.Error(err)
	}
}

// The reader of docker compose itself takes the file.
func TestComposeLoads(t *testing.T) {
	slow(t, "it builds compose's reader")
	tool(t, "./compose", absolute(t, dir+"/compose.yaml"))
}

func TestComposeHoldsTogether(t *testing.T) {
	all, programs := services(t)
	volumes := members(compose(t), "volumes")
	for name, s := range all {
		once := text(s, "restart") == ""
		for on, how := range members(s, "depends_on") {
			target, ok := all[on]
			switch condition := text(how, "condition"); {
			case !ok:
				t.Errorf("%s depends on %s, which is not there", name, on)
			case condition == "service_healthy" && at(target, "healthcheck", "test") == nil:
				t.Errorf("%s waits for the health of %s, which has no check", name, on)
			case condition == "service_completed_successfully" && text(target, "restart") != "":
				t.Errorf("%s waits for the end of %s, which goes on", name, on)
			case condition == "service_started" || condition == "":
				t.Errorf("%s does not say what it waits for in %s", name, on)
			}
		}
		if !once && at(s, "healthcheck", "test") == nil {
			t.Errorf("%s goes on and has no health check", name)
		}
		if at(s, "mem_limit") == nil {
			t.Errorf("%s may take all memory", name)
		}
		for _, v := range list(s, "volumes") {
			source, _, _ := strings.Cut(v.(string), ":")
			if _, err := os.Stat(filepath.Join(dir, source)); strings.HasPrefix(source, ".") && err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if _, ok := volumes[source]; !ok && !strings.HasPrefix(source, ".") {
				t.Errorf("%s has a volume %s, which is not there", name, source)
			}
		}
		for _, p := range list(s, "ports") {
			if !strings.HasPrefix(p.(string), "127.0.0.1:") {
				t.Errorf("%s is open to the network at %s", name, p)
			}
		}
		if binary(s) == "" && !regexp.MustCompile(`:v?\d+\.\d+\.\d+(-\w+)?(@sha256:[0-9a-f]{64})?$`).MatchString(text(s, "image")) {
			t.Errorf("%s: %s is not one version", name, text(s, "image"))
		}
	}
	for _, name := range slices.Concat(chat.RequestFunctions, eventFunctions()) {
		if binary(programs[name]) != name {
			t.Errorf("no service %s", name)
		}
	}
}

// Whoever calls a function has its address, and it is that of its service.
func TestComposeAddresses(t *testing.T) {
	_, programs := services(t)
	callers := map[string][]string{"connector-0": chat.RequestFunctions, "connector-1": chat.RequestFunctions, "dispatcher": eventFunctions()}
	for caller, functions := range callers {
		for _, f := range functions {
			if got := text(programs[caller], "environment", "KNATTER_FUNCTION_"+strings.ToUpper(f)); got != "http://"+f+":8080" {
				t.Errorf("%s calls %s at %q", caller, f, got)
			}
		}
	}
}

// What must be the same everywhere is, and what must differ does.
func TestComposeSettings(t *testing.T) {
	_, programs := services(t)
	ordinals := make(map[string]bool)
	for name, s := range programs {
		env := members(s, "environment")
		for _, same := range []string{"KNATTER_BROKERS", "KNATTER_STORE", "KNATTER_PARTITIONS", "KNATTER_DELIVERY_PARTITIONS", "KNATTER_REPLICATION"} {
			if want := programs["topics"]["environment"].(object)[same]; env[same] != want {
				t.Errorf("%s has %s=%v, topics %v", name, same, env[same], want)
			}
		}
		if binary(s) != "connector" {
			continue
		}
		ordinal := text(env, "KNATTER_ORDINAL")
		n, err := strconv.Atoi(ordinal)
		most, _ := strconv.Atoi(text(env, "KNATTER_DELIVERY_PARTITIONS"))
		if err != nil || n >= most || ordinals[ordinal] {
			t.Errorf("%s has the ordinal %q", name, ordinal)
		}
		ordinals[ordinal] = true
	}
	if len(ordinals) != 2 {
		t.Errorf("%d connectors", len(ordinals))
	}
}

// Every program has the secret by which functions know their callers, once it is
// made, and accounts alone has the key that signs tokens.
func TestComposeSecrets(t *testing.T) {
	_, programs := services(t)
	for name, s := range programs {
		if text(s, "environment", "KNATTER_CALLER_SECRET_FILE") != "/callers/secret" || !slices.Contains(list(s, "volumes"), any("callers:/callers:ro")) {
			t.Errorf("%s does not have the secret", name)
		}
		if at(s, "depends_on", "secrets", "condition") != "service_completed_successfully" {
			t.Errorf("%s does not wait for the secret", name)
		}
		if has := slices.Contains(list(s, "volumes"), any("keys:/keys:ro")); has != (name == "accounts") {
			t.Errorf("%s has the key: %v", name, has)
		}
	}
}

// The promise of an ack is kept: no write caching, no skipped fsync.
func TestComposeLogIsDurable(t *testing.T) {
	all, _ := services(t)
	command := text(all["redpanda"], "command", 0)
	if !strings.Contains(command, "rpk redpanda mode production") || strings.Contains(command, "dev") ||
		!strings.Contains(command, "--unsafe-bypass-fsync=false") {
		t.Errorf("Redpanda is started by %q", command)
	}
	if got := document(t, "compose/redpanda.yaml"); got["write_caching_default"] != "disabled" || got["auto_create_topics_enabled"] != false {
		t.Errorf("Redpanda has %v", got)
	}
}

// What is secret is in files that are made, and in no setting.
func TestComposeHasNoSecrets(t *testing.T) {
	all, _ := services(t)
	for name, s := range all {
		for key, value := range members(s, "environment") {
			if regexp.MustCompile(`PASSWORD|SECRET|TOKEN|KEYS$`).MatchString(key) && !strings.HasPrefix(value.(string), "/") {
				t.Errorf("%s: %s is no file", name, key)
			}
			if strings.Contains(value.(string), "@") {
				t.Errorf("%s: %s looks like a password", name, key)
			}
		}
	}
}

// help is what each of our binaries says of itself.
func help(t *testing.T) map[string]string {
	t.Helper()
	path, err := binaries()
	if err != nil {
		t.Fatal(err)
	}
	said := make(map[string]string)
	for _, name := range slices.Concat(chat.RequestFunctions, eventFunctions(), []string{"connector", "dispatcher", "admin"}) {
		args := []string{"--help"}
		if name == "admin" {
			args = []string{"topics", "--help"}
		}
		out, err := exec.CommandContext(t.Context(), filepath.Join(path, name), args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		said[name] = string(out)
	}
	return said
}

var variable = regexp.MustCompile(`\bKNATTER_[A-Z_]+\b`)

// checkSettings holds what a program is given against what it knows: everything
// that it requires, and nothing that no program knows.
func checkSettings(t *testing.T, where, said string, anybody map[string]bool, given []string) {
	t.Helper()
	for line := range strings.Lines(said) {
		if name := variable.FindString(line); strings.Contains(line, "(required)") && !slices.Contains(given, name) {
			t.Errorf("%s: %s is required and not set", where, name)
		}
	}
	for _, name := range given {
		if strings.HasPrefix(name, "KNATTER_") && !anybody[name] {
			t.Errorf("%s: no program knows %s", where, name)
		}
	}
}

func TestSettingsAreThoseOfThePrograms(t *testing.T) {
	slow(t, "it builds all binaries")
	said := help(t)
	known := make(map[string]bool)
	for _, s := range said {
		for _, name := range variable.FindAllString(s, -1) {
			known[name] = true
		}
	}
	_, programs := services(t)
	for name, s := range programs {
		checkSettings(t, "compose: "+name, said[binary(s)], known, slices.Collect(maps.Keys(members(s, "environment"))))
	}
	for _, w := range workloads(t) {
		checkSettings(t, w.where, said[w.binary], known, w.env)
	}
}
