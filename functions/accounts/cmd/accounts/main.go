// Command accounts serves the function that knows who people are, over HTTP.
package main

import (
	"knatter.dev/chat/functions/accounts"
	"knatter.dev/chat/internal/program"
)

// keys is a setting of this function alone.
var keys = program.Setting{
	Name: "keys", Value: "file", Required: true,
	Usage: "File with the Ed25519 key that signs tokens (PEM, PKCS #8: openssl genpkey -algorithm ed25519); the variable may hold the key itself",
}

func main() {
	program.Serve("accounts", "Serves accounts and logins: /v1/accounts, /v1/sessions, /v1/me and /.well-known/jwks.json.",
		accounts.New(), append(program.LogAndStore(), keys)...).Main()
}
