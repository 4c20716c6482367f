package cluster

import (
	"context"
	"encoding/json"
	"strings"
	"testing"
)

// tellsUsage logs the memory of what runs now, without what is mapped from files
// (Kubernetes counts no other), and the size of its images
// as nodes pull them, as far as the cluster tells.
func (c *Cluster) tellsUsage(t *testing.T) {
	t.Helper()
	images, nodes, err := c.sizes(t.Context())
	if err != nil {
		t.Log("no sizes of images: ", err)
	}
	for _, node := range nodes {
		out, err := c.kubectl(t.Context(), "get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary")
		var summary struct {
			Pods []struct {
				PodRef     struct{ Name, Namespace string }
				Containers []struct {
					Name   string
					Memory struct{ RSSBytes int64 }
				}
			}
		}
		if err == nil {
			err = json.Unmarshal([]byte(out), &summary)
		}
		if err != nil {
			t.Log("no memory: ", err)
			continue
		}
		for _, pod := range summary.Pods {
			for _, container := range pod.Containers {
				if pod.PodRef.Namespace != c.namespace || container.Name == "queue-proxy" {
					continue
				}
				name := strings.TrimPrefix(pod.PodRef.Name, "knatter-")
				name, _, _ = strings.Cut(name, "-")
				t.Logf("%-10s %4d MiB of memory of its own, image of %d MB", name, container.Memory.RSSBytes>>20, images[name]/1e6)
			}
		}
	}
}

// sizes are those of the images that nodes have, by the programs' names, and the
// nodes' names.
func (c *Cluster) sizes(ctx context.Context) (images map[string]int64, nodes []string, err error) {
	out, err := c.kubectl(ctx, "get", "nodes", "-o", "json")
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Items []struct {
			Metadata struct{ Name string }
			Status   struct {
				Images []struct {
					Names     []string
					SizeBytes int64
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &list); err != nil {
		return nil, nil, err
	}
	images = map[string]int64{}
	for _, node := range list.Items {
		nodes = append(nodes, node.Metadata.Name)
		for _, image := range node.Status.Images {
			for _, name := range image.Names {
				name, _, _ = strings.Cut(name[strings.LastIndexByte(name, '/')+1:], "@")
				name, _, _ = strings.Cut(name, ":")
				images[strings.TrimPrefix(name, "knatter-")] = image.SizeBytes
			}
		}
	}
	return images, nodes, nil
}
