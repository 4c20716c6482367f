// Package cluster tells stories on a Kubernetes cluster with Knative Serving: all
// functions come to it by func deploy, connectors and dispatcher by kustomize.
//
//	KNATTER_E2E_REGISTRY=ghcr.io/you make e2e-cluster
//
// The cluster is the one that KUBECONFIG names; without it nothing is tested. What
// else must be known about it is said in the environment:
//
//	KNATTER_E2E_REGISTRY   where to push images
//	KNATTER_E2E_INSECURE   1 when the registry has no TLS
//	KNATTER_E2E_HOST       this machine's address as pods see it; Kafka and FerretDB
//	                       then run here for the cluster's use, else it uses those of
//	KNATTER_BROKERS, KNATTER_STORE
//	KNATTER_E2E_HELLO      image of a service that does nothing, to compare cold starts with
//	KNATTER_E2E_INGRESS    URL of Knative's public ingress, which must lead to no function
//	KNATTER_E2E_NAMESPACE  default knatter-e2e; it is deleted at the end, unless
//	KNATTER_E2E_KEEP       1 leaves what was deployed, and goes on with what is there
package cluster

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience is how long anything may take that should happen at once, on a machine
// that is busy with other things.
const patience = 2 * time.Minute

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() { // ends with the process
		<-signals
		signal.Stop(signals) // the next signal ends us at once
		shared.end()
		os.Exit(1)
	}()
	code := m.Run()
	shared.end()
	return code
}

// shared is the one deployment that all stories are told on.
var shared deployment

type deployment struct {
	once    sync.Once
	cluster *Cluster
	err     error
}

func (d *deployment) end() {
	if d.cluster == nil {
		return
	}
	if err := d.cluster.close(); err != nil {
		fmt.Fprintln(os.Stderr, "ending the deployment:", err)
	}
}

func needsCluster(t *testing.T) {
	t.Helper()
	if os.Getenv("KUBECONFIG") == "" {
		t.Skip("needs a cluster: KUBECONFIG")
	}
}

// deployed is the chat on the cluster, deployed by the first story that asks.
func deployed(t *testing.T) *Cluster {
	t.Helper()
	needsCluster(t)
	shared.once.Do(func() { shared.cluster, shared.err = deploy(context.Background()) })
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(shared.cluster.state())
		}
	})
	return shared.cluster
}
