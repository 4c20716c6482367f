// Command persist serves the function that makes the log's events lasting, over HTTP.
package main

import (
	"knatter.dev/chat/functions/persist"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(persist.Spec).Main() }
