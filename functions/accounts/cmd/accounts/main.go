// Command accounts serves the function that knows who people are, over HTTP.
package main

import (
	"knatter.dev/chat/functions/accounts"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(accounts.Spec).Main() }
