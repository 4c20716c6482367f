// Command images builds the programs that are not functions and pushes them to a
// registry, each as an image of nothing but a static program and the authorities
// that it trusts:
//
//	go run ./images -registry ghcr.io/you ./connector/cmd/connector ./infra/dispatcher
//
// It prints each image's name and its reference by digest. Kubernetes ends the
// programs by SIGTERM, which they heed.
package main

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		if !errors.Is(err, flag.ErrHelp) {
			fmt.Fprintln(os.Stderr, "images:", err)
		}
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	f := flag.NewFlagSet("images", flag.ContinueOnError)
	registry := f.String("registry", "", "`registry` and account to push to, as ghcr.io/you; required")
	insecure := f.Bool("registry-insecure", false, "the registry has no TLS")
	tag := f.String("tag", "latest", "`tag` of the images")
	platforms := f.String("platforms", "linux/amd64,linux/arm64", "`platforms` to build for, separated by commas")
	root := f.String("root", "../..", "`folder` of the product's module")
	f.Usage = func() {
		fmt.Fprintf(f.Output(), "usage: images -registry REGISTRY [flags] package …\n\nThe last element of a package's path is the image's name.\n\n")
		f.PrintDefaults()
	}
	if err := f.Parse(args); err != nil {
		return err
	}
	if *registry == "" || f.NArg() == 0 {
		return errors.New("-registry and at least one package are required")
	}
	var options []name.Option
	if *insecure {
		options = append(options, name.Insecure)
	}
	for _, pkg := range f.Args() {
		ref, err := name.NewTag(*registry+"/"+filepath.Base(pkg)+":"+*tag, options...)
		if err != nil {
			return err
		}
		index, err := index(ctx, *root, pkg, strings.Split(*platforms, ","))
		if err != nil {
			return fmt.Errorf("%s: %w", pkg, err)
		}
		if err := remote.WriteIndex(ref, index, remote.WithContext(ctx), remote.WithAuthFromKeychain(authn.DefaultKeychain)); err != nil {
			return fmt.Errorf("pushing %s: %w", ref, err)
		}
		digest, err := index.Digest()
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(out, "%s %s\n", filepath.Base(pkg), ref.Digest(digest.String())); err != nil {
			return err
		}
	}
	return nil
}

// index is the package's program for several platforms.
func index(ctx context.Context, root, pkg string, platforms []string) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, p := range platforms {
		platform, err := v1.ParsePlatform(p)
		if err != nil {
			return nil, err
		}
		program, err := build(ctx, root, pkg, platform)
		if err != nil {
			return nil, err
		}
		image, err := image(program, platform)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	return index, nil
}

// build compiles a package into a static program.
func build(ctx context.Context, root, pkg string, p *v1.Platform) (program []byte, err error) {
	dir, err := os.MkdirTemp("", "knatter-image-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	file := filepath.Join(dir, "program")
	c := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags=-s -w", "-o", file, pkg)
	c.Dir = root
	c.Env = append(os.Environ(), "CGO_ENABLED=0", "GOOS="+p.OS, "GOARCH="+p.Architecture, "GOARM="+strings.TrimPrefix(p.Variant, "v"))
	c.Stdout, c.Stderr = os.Stderr, os.Stderr
	if err := c.Run(); err != nil {
		return nil, fmt.Errorf("go build for %s: %w", p, err)
	}
	return os.ReadFile(file)
}

// nobody is the user that programs run as. Kubernetes' runAsNonRoot requires a number.
const nobody = "65532:65532"

// image returns an image of a program and the authorities that Mozilla trusts. The same
// program always gives the same image: nothing in it depends on the time.
func image(program []byte, p *v1.Platform) (v1.Image, error) {
	var authorities bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint != nil {
			continue // what a file cannot say; these few are trusted for some names or up to some date
		}
		if err := pem.Encode(&authorities, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}); err != nil {
			return nil, err
		}
	}
	certificates, err := layer("etc/ssl/certs/ca-certificates.crt", authorities.Bytes(), 0o644)
	if err != nil {
		return nil, err
	}
	executable, err := layer("knatter", program, 0o755)
	if err != nil {
		return nil, err
	}
	image, err := mutate.AppendLayers(mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1), certificates, executable)
	if err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture, config.Variant = p.OS, p.Architecture, p.Variant
	config.Config.User = nobody
	config.Config.Entrypoint = []string{"/knatter"}
	config.Config.StopSignal = "SIGTERM"
	return mutate.ConfigFile(image, config)
}

// layer returns a layer with one file.
func layer(path string, content []byte, mode int64) (v1.Layer, error) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: path, Mode: mode, Size: int64(len(content)), Format: tar.FormatPAX}); err != nil {
		return nil, err
	}
	if _, err := w.Write(content); err != nil {
		return nil, err
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer))
}
