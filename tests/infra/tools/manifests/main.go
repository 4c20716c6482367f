// Command manifests builds a folder with kustomize, reads each object into the type
// that its API server has for it, where fields that this doesn't know are errors, and
// prints them all.
package main

import (
	"fmt"
	"os"

	mongodb "github.com/mongodb/mongodb-kubernetes-operator/api/v1"
	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"sigs.k8s.io/yaml"
)

// untyped are kinds whose module cannot be had, so that nothing is known of their
// fields here.
var untyped = map[string]bool{"KafkaSource": true, "KafkaSink": true, "Redpanda": true}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: manifests FOLDER")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "manifests:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	types := scheme.Scheme
	if err := monitoring.AddToScheme(types); err != nil {
		return err
	}
	types.AddKnownTypeWithName(schema.GroupVersionKind{Group: "mongodbcommunity.mongodb.com", Version: "v1", Kind: "MongoDBCommunity"}, &mongodb.MongoDBCommunity{})

	built, err := krusty.MakeKustomizer(krusty.MakeDefaultOptions()).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return err
	}
	for _, object := range built.Resources() {
		text, err := object.AsYAML()
		if err != nil {
			return err
		}
		if err := check(types, object.GetGvk().Group, object.GetGvk().Version, object.GetKind(), text); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
		fmt.Printf("---\n%s", text)
	}
	return nil
}

func check(types *runtime.Scheme, group, version, kind string, text []byte) error {
	if untyped[kind] {
		return nil
	}
	object, err := types.New(schema.GroupVersionKind{Group: group, Version: version, Kind: kind})
	if err != nil {
		return err
	}
	return yaml.UnmarshalStrict(text, object)
}
