// Command search serves the function that finds messages, over HTTP.
package main

import (
	"knatter.dev/chat/functions/search"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(search.Spec).Main() }
