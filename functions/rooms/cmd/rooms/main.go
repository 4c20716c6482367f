// Command rooms serves the function that knows rooms and members, over HTTP.
package main

import (
	"knatter.dev/chat/functions/rooms"
	"knatter.dev/chat/internal/program"
)

func main() { program.Serve(rooms.Spec).Main() }
