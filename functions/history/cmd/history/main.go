// Command history serves the function that answers what was said, over HTTP.
package main

import (
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(history.Spec).Main() }
