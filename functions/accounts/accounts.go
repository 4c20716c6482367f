// Package accounts is the function that knows who people are: it signs them up,
// logs them in, and lists their friends.
package accounts

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/function"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// maxNickname is how long a nickname can be, in code points.
const maxNickname = 32

// Spec declares the function.
var Spec = function.Spec{
	Name:     "accounts",
	Summary:  "Serves accounts and logins: /v1/accounts, /v1/sessions, /v1/me and /.well-known/jwks.json.",
	Needs:    function.Needs{Log: true, Appends: true, Signer: true},
	Requests: func(d function.Deps) http.Handler { return New(d) },
}

// Function answers /v1/accounts, /v1/sessions, /v1/me and the public keys.
//
// /v1/oauth has no routes: there is no identity provider to log in with yet, and
// 404 says so.
type Function struct {
	http.Handler

	Limits Limits // to be set before the first request

	accounts chat.AccountStore
	sessions chat.SessionStore
	attempts chat.AttemptStore
	rooms    chat.RoomStore
	log      chat.Log
	signer   *auth.Signer
	verifier *auth.Verifier
	genuine  *auth.Verifier // looks at the token alone: who has logged out may log out again
	hasher   hasher

	refresher refresher
	keys      []byte // the public key set
}

// New returns the function.
func New(d function.Deps) *Function {
	f := &Function{
		accounts: d.Accounts, sessions: d.Sessions, attempts: d.Attempts, rooms: d.Rooms, log: d.Log,
		signer: d.Signer, verifier: auth.NewVerifier(d.Signer.Keys, d.Sessions), genuine: auth.NewVerifier(d.Signer.Keys, nil),
		hasher:    newHasher(),
		refresher: refresher{key: d.Signer.Derive("knatter refresh tokens")},
	}
	f.keys, _ = json.Marshal(d.Signer.KeySet()) // a public Ed25519 key always marshals
	f.Handler = serve.Routes(map[string]func(http.ResponseWriter, *http.Request) error{
		"POST /v1/accounts":            f.signUp,
		"POST /v1/sessions":            f.logIn,
		"POST /v1/sessions/refresh":    f.refresh,
		"DELETE /v1/sessions":          f.logOut,
		"GET /v1/me":                   f.me,
		"PATCH /v1/me":                 f.changeMe,
		"GET /v1/me/friends":           f.friends,
		"POST /v1/me/friends":          f.befriend,
		"DELETE /v1/me/friends/{user}": f.unfriend,
		"GET /.well-known/jwks.json":   f.publishKeys,
	})
	return f
}

// profile is an account as its own user sees it.
type profile struct {
	ID       chat.UserID `json:"id"`
	Email    string      `json:"email"`
	Nickname string      `json:"nickname"`
}

func profileOf(a chat.Account) profile {
	return profile{ID: a.ID, Email: a.Email, Nickname: a.Nickname}
}

func (f *Function) signUp(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Email, Password, Nickname string }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	email, err := names.Email(in.Email)
	if err != nil {
		return err
	}
	nickname, err := names.Clean("nickname", in.Nickname, maxNickname)
	if err != nil {
		return err
	}
	if err := f.allow(w, r, "signup", client(r), f.Limits.SignUp, defaults.SignUp); err != nil {
		return err
	}
	hash, err := f.hasher.hash(r.Context(), in.Password)
	if err != nil {
		return busy(w, err)
	}
	account := chat.Account{ID: names.NewUser(), Email: email, Nickname: nickname, PasswordHash: hash, Created: chat.Now()}
	err = f.accounts.Create(r.Context(), account)
	if chat.KindOf(err) == chat.Conflict {
		return chat.Errorf(chat.Conflict, "there is an account with this email address")
	}
	if err != nil {
		return fmt.Errorf("creating an account: %w", err)
	}
	serve.JSON(w, http.StatusCreated, profileOf(account))
	return nil
}

// account is the caller's own account. Errors: Unauthenticated also when the
// account is gone.
func (f *Function) account(r *http.Request) (chat.Account, error) {
	claims, err := f.verifier.Request(r)
	if err != nil {
		return chat.Account{}, err
	}
	return f.accountOf(r.Context(), claims.User)
}

func (f *Function) accountOf(ctx context.Context, user chat.UserID) (chat.Account, error) {
	a, err := f.accounts.Account(ctx, user)
	if chat.KindOf(err) == chat.NotFound {
		return a, chat.Errorf(chat.Unauthenticated, "the account is no more")
	}
	if err != nil {
		return a, fmt.Errorf("reading an account: %w", err)
	}
	return a, nil
}

func (f *Function) publishKeys(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, _ = w.Write(f.keys) // the client is gone: nobody to tell
	return nil
}
