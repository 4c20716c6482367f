package sealed_test

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"knatter.dev/chat/internal/sealed"
)

type document struct{ N int }

func TestFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	var d document
	if count, ok, err := sealed.Read(f, &d); count != 0 || ok || err != nil {
		t.Errorf("an empty file: %d, %v, %v", count, ok, err)
	}
	w := sealed.NewFile(f, 0)
	for n := range 5 {
		if err := w.Write(document{n}); err != nil {
			t.Fatal(err)
		}
	}
	if _, ok, err := sealed.Read(f, &d); d.N != 4 || !ok || err != nil {
		t.Errorf("got %+v, %v, %v", d, ok, err)
	}
	// Whichever byte is damaged, the one before or the latest is read, whole.
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for at := range whole {
		damaged := bytes.Clone(whole)
		damaged[at] ^= 0x10
		var d document
		if _, ok, err := sealed.Read(bytes.NewReader(damaged), &d); d.N != 4 && d.N != 3 || !ok || err != nil {
			t.Fatalf("byte %d flipped: %+v, %v, %v", at, d, ok, err)
		}
	}
	for size := range len(whole) {
		var d document
		_, ok, err := sealed.Read(bytes.NewReader(whole[:size]), &d)
		if err != nil || ok && d.N != 4 && d.N != 3 {
			t.Fatalf("cut at %d: %+v, %v, %v", size, d, ok, err)
		}
	}
}
