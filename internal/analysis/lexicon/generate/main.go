// Command generate makes the lexicon's file of the mecab-ko dictionary, as kagome
// packs it. The same dictionary always gives the same file.
package main

import (
	"fmt"
	"os"

	ko "github.com/ikawaha/kagome-dict-ko"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: generate FILE")
		os.Exit(2)
	}
	file, err := generate(ko.Dict())
	if err == nil {
		err = os.WriteFile(os.Args[1], file, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "generate:", err)
		os.Exit(1)
	}
}
