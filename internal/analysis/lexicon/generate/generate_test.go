package main

import (
	"bytes"
	"os"
	"testing"

	ko "github.com/ikawaha/kagome-dict-ko"
)

// TestKorean: the file in the tree is what the dictionary gives.
func TestKorean(t *testing.T) {
	if os.Getenv("KNATTER_SLOW") == "" {
		t.Skip("takes some ten seconds: KNATTER_SLOW=1")
	}
	got, err := generate(ko.Dict())
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../korean.bin")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Error("korean.bin is not what the dictionary gives: make dictionary")
	}
}
