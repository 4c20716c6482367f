// Command fanout serves the function that passes events to the connectors, over HTTP.
package main

import (
	"knatter.dev/chat"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/internal/program"
)

func main() {
	program.Serve(chat.Fanout.Name, "Passes each event to the connectors that have subscribers of its room. It takes events by POST /.",
		fanout.New(), program.LogAndStore()...).Main()
}
