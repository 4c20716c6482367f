package infra

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"knatter.dev/chat"
)

// stream are the documents of all manifests in a folder.
func stream(t *testing.T, folder string) (all []object) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, folder, "*.yaml"))
	if err != nil || len(files) == 0 {
		t.Fatalf("%s: %d files, %v", folder, len(files), err)
	}
	for _, f := range files {
		if filepath.Base(f) == "kustomization.yaml" {
			continue
		}
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, documents(t, b)...)
	}
	return all
}

func ofKind(all []object, kind string) map[string]object {
	some := make(map[string]object)
	for _, o := range all {
		if text(o, "kind") == kind {
			some[text(o, "metadata", "name")] = o
		}
	}
	return some
}

func settings(t *testing.T) object {
	t.Helper()
	return members(ofKind(stream(t, "base"), "ConfigMap")["knatter"], "data")
}

// The sources are the table of event functions.
func TestKafkaSources(t *testing.T) {
	base := stream(t, "base")
	sources := ofKind(base, "KafkaSource")
	if len(sources) != len(chat.Followers) {
		t.Errorf("%d sources", len(sources))
	}
	for _, f := range chat.Followers {
		s := sources[f.Name]
		ordering := map[bool]string{true: "ordered", false: "unordered"}[f.Ordered]
		if text(s, "spec", "consumerGroup") != f.Group || text(s, "spec", "ordering") != ordering {
			t.Errorf("%s: %v", f.Name, members(s, "spec"))
		}
		first := "earliest"
		if f.Topic == chat.TopicSignals {
			first = "latest"
		}
		if text(s, "spec", "topics", 0) != f.Topic || text(s, "spec", "initialOffset") != first {
			t.Errorf("%s does not follow %s from its %s", f.Name, f.Topic, first)
		}
		if got := text(s, "spec", "sink", "ref", "name"); got != functionName(t, f.Function()) {
			t.Errorf("%s goes to %s", f.Name, got)
		}
		// The resource's own checks are in a module that cannot be had, so these are the
		// fields that it has.
		for key := range members(s, "spec") {
			if !slices.Contains([]string{"bootstrapServers", "consumerGroup", "consumers", "delivery", "initialOffset", "net", "ordering", "sink", "topics"}, key) {
				t.Errorf("%s: a source has no %s", f.Name, key)
			}
		}
		retry, _ := at(s, "spec", "delivery", "retry").(float64)
		if f.Topic == chat.TopicSignals {
			if retry != 0 || at(s, "spec", "delivery", "deadLetterSink") != nil {
				t.Errorf("%s keeps what is of no use later", f.Name)
			}
			continue
		}
		dead := ofKind(base, "KafkaSink")[text(s, "spec", "delivery", "deadLetterSink", "ref", "name")]
		if text(dead, "spec", "topic") != chat.TopicDead {
			t.Errorf("%s: dead letters go to %v", f.Name, dead)
		}
		if retry < 100 || text(s, "spec", "delivery", "backoffDelay") == "" {
			t.Errorf("%s gives up after %v tries", f.Name, retry)
		}
	}
}

// functionName is what func deploy calls a function.
func functionName(t *testing.T, name string) string {
	t.Helper()
	var f struct{ Name string }
	if err := yaml.Unmarshal(read(t, "../functions/"+name+"/func.yaml"), &f); err != nil {
		t.Fatal(err)
	}
	return f.Name
}

// Functions find what their func.yaml names.
func TestFunctionsFindTheirEnvironment(t *testing.T) {
	accounts := ofKind(stream(t, "base"), "ServiceAccount")
	data := settings(t)
	for _, name := range slices.Concat(chat.RequestFunctions, eventFunctions()) {
		file := string(read(t, "../functions/"+name+"/func.yaml"))
		for _, m := range regexp.MustCompile(`\{\{ *configMap:([\w-]+)(?::(\w+))? *\}\}`).FindAllStringSubmatch(file, -1) {
			if _, ok := data[m[2]]; m[1] != "knatter" || m[2] != "" && !ok {
				t.Errorf("%s: no %s in the ConfigMap %s", name, m[2], m[1])
			}
		}
		for _, m := range regexp.MustCompile(`\{\{ *secret:([\w-]+)(?::([\w.]+))? *\}\}`).FindAllStringSubmatch(file, -1) {
			if m[1] != "knatter" || !slices.Contains([]string{"KNATTER_STORE", "KNATTER_STORE_READ", "KNATTER_SASL_PASSWORD", "KNATTER_CALLER_SECRET", "keys.pem"}, m[2]) {
				t.Errorf("%s: README.md makes no %s in the Secret %s", name, m[2], m[1])
			}
		}
		if account := text(documents(t, []byte(file))[0], "deploy", "serviceAccountName"); accounts[account] == nil {
			t.Errorf("%s: no ServiceAccount %q", name, account)
		}
	}
}

// No function is for the world outside the cluster, and each knows its callers by
// the secret that these have.
func TestFunctionsKnowTheirCallers(t *testing.T) {
	for _, name := range slices.Concat(chat.RequestFunctions, eventFunctions()) {
		f := documents(t, read(t, "../functions/"+name+"/func.yaml"))[0]
		if !slices.ContainsFunc(list(f, "deploy", "labels"), func(l any) bool {
			return text(l, "key") == "networking.knative.dev/visibility" && text(l, "value") == "cluster-local"
		}) {
			t.Errorf("%s is published", name)
		}
		if !slices.ContainsFunc(list(f, "run", "envs"), func(e any) bool {
			return text(e, "name") == "KNATTER_CALLER_SECRET" && text(e, "value") == "{{ secret:knatter:KNATTER_CALLER_SECRET }}"
		}) {
			t.Errorf("%s answers everybody", name)
		}
	}
	for caller, o := range map[string]object{
		"connector":  ofKind(stream(t, "base"), "StatefulSet")["connector"],
		"dispatcher": ofKind(stream(t, "components/dispatcher"), "Deployment")["dispatcher"],
	} {
		if !slices.ContainsFunc(list(o, "spec", "template", "spec", "containers", 0, "env"), func(e any) bool {
			return text(e, "name") == "KNATTER_CALLER_SECRET" && text(e, "valueFrom", "secretKeyRef", "key") == "KNATTER_CALLER_SECRET"
		}) {
			t.Errorf("%s has nothing to show", caller)
		}
	}
}

// A connector finds each function at the name that Knative gives it.
func TestConnectorCallsFunctions(t *testing.T) {
	env := environment(ofKind(stream(t, "base"), "StatefulSet")["connector"])
	for _, name := range chat.RequestFunctions {
		if got := env["KNATTER_FUNCTION_"+strings.ToUpper(name)]; got != "http://"+functionName(t, name)+".$(NAMESPACE).svc.cluster.local" {
			t.Errorf("%s is called at %q", name, got)
		}
	}
	env = environment(ofKind(stream(t, "components/dispatcher"), "Deployment")["dispatcher"])
	for _, name := range eventFunctions() {
		if got := env["KNATTER_FUNCTION_"+strings.ToUpper(name)]; got != "http://"+functionName(t, name)+".$(NAMESPACE).svc.cluster.local" {
			t.Errorf("%s is called at %q", name, got)
		}
	}
}

func environment(workload object) map[string]string {
	env := make(map[string]string)
	for _, e := range list(workload, "spec", "template", "spec", "containers", 0, "env") {
		env[text(e, "name")] = text(e, "value")
	}
	return env
}

// workload is one of our programs in the cluster, with the variables that it gets.
type workload struct {
	where, binary string
	env           []string
	spec          object
}

func workloads(t *testing.T) (all []workload) {
	t.Helper()
	everybody := slices.Collect(maps.Keys(settings(t)))
	for _, folder := range []string{"base", "components/dispatcher"} {
		for _, o := range stream(t, folder) {
			spec := members(o, "spec", "template", "spec")
			if spec == nil {
				continue
			}
			name, ok := strings.CutPrefix(text(spec, "containers", 0, "image"), "knatter/")
			if !ok {
				t.Errorf("%s: not one of our images", text(o, "metadata", "name"))
			}
			all = append(all, workload{folder + ": " + name, name, slices.Concat(everybody, slices.Collect(maps.Keys(environment(o)))), spec})
		}
	}
	if len(all) != 3 {
		t.Fatalf("%d workloads", len(all))
	}
	return all
}

// No more rights than needed, no more memory than given, and nobody's token.
func TestWorkloadsAreConfined(t *testing.T) {
	accounts := ofKind(append(stream(t, "base"), stream(t, "components/dispatcher")...), "ServiceAccount")
	for name, a := range accounts {
		if a["automountServiceAccountToken"] != false {
			t.Errorf("%s gets a token", name)
		}
	}
	for _, w := range workloads(t) {
		container := at(w.spec, "containers", 0)
		for path, want := range map[string]any{
			"allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
		} {
			if got := at(container, "securityContext", path); got != want {
				t.Errorf("%s: %s is %v", w.where, path, got)
			}
		}
		if text(container, "securityContext", "capabilities", "drop", 0) != "ALL" || at(w.spec, "securityContext", "runAsNonRoot") != true ||
			text(w.spec, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
			t.Errorf("%s has more rights than it needs", w.where)
		}
		if at(container, "resources", "limits", "memory") == nil || at(container, "resources", "requests", "cpu") == nil {
			t.Errorf("%s: resources are %v", w.where, at(container, "resources"))
		}
		if accounts[text(w.spec, "serviceAccountName")] == nil || at(w.spec, "automountServiceAccountToken") != false {
			t.Errorf("%s runs as %q", w.where, text(w.spec, "serviceAccountName"))
		}
	}
}

// Nothing runs in the namespace that is not confined, whoever makes it.
func TestNamespaceIsRestricted(t *testing.T) {
	namespace := ofKind(stream(t, "base"), "Namespace")["knatter"]
	if members(namespace, "metadata", "labels")["pod-security.kubernetes.io/enforce"] != "restricted" {
		t.Errorf("labels %v", at(namespace, "metadata", "labels"))
	}
	pod := at(ofKind(stream(t, "components/mongodb"), "MongoDBCommunity")["mongodb"], "spec", "statefulSet", "spec", "template", "spec")
	if at(pod, "securityContext", "runAsNonRoot") != true || text(pod, "securityContext", "seccompProfile", "type") != "RuntimeDefault" {
		t.Errorf("MongoDB's pods: %v", at(pod, "securityContext"))
	}
	for _, c := range append(list(pod, "initContainers"), list(pod, "containers")...) {
		if at(c, "securityContext", "allowPrivilegeEscalation") != false || text(c, "securityContext", "capabilities", "drop", 0) != "ALL" {
			t.Errorf("MongoDB's %s: %v", text(c, "name"), at(c, "securityContext"))
		}
	}
}

// There are never more connectors than partitions of the deliveries.
func TestConnectorsHavePartitions(t *testing.T) {
	most, err := strconv.Atoi(text(settings(t), "KNATTER_DELIVERY_PARTITIONS"))
	if err != nil {
		t.Fatal(err)
	}
	hpa := ofKind(stream(t, "base"), "HorizontalPodAutoscaler")["connector"]
	if n, _ := at(hpa, "spec", "maxReplicas").(float64); int(n) > most {
		t.Errorf("%v connectors, %d partitions", n, most)
	}
	if text(hpa, "spec", "metrics", 0, "pods", "metric", "name") != "knatter_connector_sockets" {
		t.Errorf("scaled by %v", at(hpa, "spec", "metrics"))
	}
}

// No secret is in the tree, in whatever form.
func TestManifestsHaveNoSecrets(t *testing.T) {
	for _, folder := range []string{"base", "components/redpanda", "components/mongodb", "components/dispatcher", "components/monitoring"} {
		if secrets := ofKind(stream(t, folder), "Secret"); len(secrets) > 0 {
			t.Errorf("%s has %d secrets", folder, len(secrets))
		}
	}
}

// overlays are built as they are, and with what none of them has.
func overlays(t *testing.T) map[string]string {
	t.Helper()
	built := make(map[string]string)
	for _, name := range []string{"dev", "prod"} {
		built[name] = absolute(t, dir+"/overlays/"+name)
	}
	temp := t.TempDir()
	managed, err := filepath.EvalSymlinks(temp)
	if err != nil {
		t.Fatal(err)
	}
	here, err := filepath.Rel(managed, absolute(t, dir))
	if err != nil {
		t.Fatal(err)
	}
	kustomization := "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nnamespace: another\n" +
		"resources: [" + here + "/base]\ncomponents: [" + here + "/components/sasl, " + here + "/components/monitoring]\n"
	if err := os.WriteFile(filepath.Join(managed, "kustomization.yaml"), []byte(kustomization), 0o600); err != nil {
		t.Fatal(err)
	}
	built["managed"] = managed
	return built
}

// Kustomize builds the overlays, and each object is one that its type knows.
func TestOverlays(t *testing.T) {
	slow(t, "it builds kustomize and the types of Kubernetes")
	for name, folder := range overlays(t) {
		t.Run(name, func(t *testing.T) {
			all := documents(t, tool(t, "./manifests", folder))
			namespace := text(ofKind(all, "StatefulSet")["connector"], "metadata", "namespace")
			for _, o := range all {
				if got := text(o, "metadata", "namespace"); got != namespace && text(o, "kind") != "Namespace" {
					t.Errorf("%s %s is in %q", text(o, "kind"), text(o, "metadata", "name"), got)
				}
			}
			sources, dispatcher := ofKind(all, "KafkaSource"), ofKind(all, "Deployment")["dispatcher"]
			if (len(sources) == 0) == (dispatcher == nil) {
				t.Errorf("%d sources, dispatcher %v: exactly one follows the log", len(sources), dispatcher != nil)
			}
			brokers := text(ofKind(all, "ConfigMap")["knatter"], "data", "KNATTER_BROKERS")
			for at, s := range sources {
				if got := text(s, "spec", "bootstrapServers", 0); name == "prod" && got != brokers {
					t.Errorf("%s asks %q, everybody else %q", at, got, brokers)
				}
			}
			checkReplicas(t, all)
		})
	}
}

// checkReplicas holds the log's replicas against what the topics are told.
func checkReplicas(t *testing.T, all []object) {
	t.Helper()
	redpanda := ofKind(all, "Redpanda")["redpanda"]
	if redpanda == nil {
		return
	}
	brokers, _ := at(redpanda, "spec", "clusterSpec", "statefulset", "replicas").(float64)
	if got := text(ofKind(all, "ConfigMap")["knatter"], "data", "KNATTER_REPLICATION"); got != strconv.Itoa(int(brokers)) {
		t.Errorf("%v brokers, %s replicas", brokers, got)
	}
	cluster := members(redpanda, "spec", "clusterSpec", "config", "cluster")
	if cluster["write_caching_default"] != "disabled" || at(redpanda, "spec", "clusterSpec", "config", "node", "developer_mode") != false {
		t.Errorf("an ack promises nothing: %v", cluster)
	}
}
