// Command fanout serves the function that passes events to the connectors, over HTTP.
package main

import (
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(fanout.Spec).Main() }
