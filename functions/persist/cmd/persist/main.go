// Command persist serves the function that makes the log's events lasting, over HTTP.
package main

import (
	"knatter.dev/chat"
	"knatter.dev/chat/functions/persist"
	"knatter.dev/chat/internal/program"
)

func main() {
	program.Serve(chat.Persist.Name, "Writes events to the stores: history, rooms, members and read marks. It takes events by POST /.",
		persist.New(), program.Store).Main()
}
