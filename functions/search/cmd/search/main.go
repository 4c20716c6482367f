// Command search serves the function that finds messages, over HTTP.
package main

import (
	"knatter.dev/chat/functions/search"
	"knatter.dev/chat/internal/program"
)

func main() {
	program.Serve("search", "Finds messages in the caller's rooms: /v1/search.",
		search.New(), program.Store, program.JWKS).Main()
}
