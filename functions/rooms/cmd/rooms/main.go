// Command rooms serves the function that knows rooms and members, over HTTP.
package main

import (
	"knatter.dev/chat/functions/rooms"
	"knatter.dev/chat/internal/program"
)

func main() {
	program.Serve("rooms", "Serves rooms and their members: /v1/rooms, /v1/direct and /v1/me/invitations.",
		rooms.New(), append(program.LogAndStore(), program.JWKS)...).Main()
}
