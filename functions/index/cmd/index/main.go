// Command index serves the function that makes messages findable, over HTTP.
package main

import (
	"knatter.dev/chat"
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/internal/program"
)

func main() {
	program.Serve(chat.Index.Name, "Puts the terms of messages into the search index. It takes events by POST /.",
		index.New(), program.Store).Main()
}
