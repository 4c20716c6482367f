// Command index serves the function that makes messages findable, over HTTP.
package main

import (
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(index.Spec).Main() }
