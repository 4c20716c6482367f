// Package function is what all functions have in common: how each is declared, what it
// is given to work with, and how it runs where it is deployed alone.
package function

import (
	"context"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/setting"
	"knatter.dev/chat/internal/store"
)

// Deps are what functions work with, opened in one place: here for a function that is
// deployed alone, in package local for all of one process. Each function takes what it
// needs, and tests make of it what they need.
type Deps struct {
	store.Stores
	Log       chat.Log
	Deliverer chat.Deliverer
	Verifier  *auth.Verifier // of access tokens
	Signer    *auth.Signer   // of access tokens

	Config Config

	// Elsewhere says that the stores are a server of their own, so that reading takes
	// no processor of ours.
	Elsewhere bool
}

// Needs says which dependencies a function has beside the stores, which all have.
type Needs struct {
	Log      bool // and Deliverer
	Appends  bool // to the log: the function is ready only while that can be done
	Verifier bool
	Signer   bool
}

// Spec declares a function. It is either an event function or a request function.
type Spec struct {
	Name    string
	Summary string // for the help of its program
	Needs   Needs

	// Settings are those of Config that the function goes by; nil for none.
	Settings func(*Config) []setting.Setting

	Events   func(Deps) chat.Handler
	Requests func(Deps) http.Handler

	// Background is what an instance also does, until the context ends; nil for nothing.
	Background func(context.Context, Deps)
}

// handler is the function over HTTP.
func (s Spec) handler(d Deps) http.Handler {
	if s.Requests != nil {
		return s.Requests(d)
	}
	return serve.Events(s.Events(d), d.Progress.Lineage)
}
