package accounts

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// How long the tokens count.
const (
	accessFor  = 15 * time.Minute
	refreshFor = 30 * 24 * time.Hour
)

// tokens is the answer to a login and to a refresh.
type tokens struct {
	Access    string  `json:"accessToken"`
	Refresh   string  `json:"refreshToken"`
	ExpiresIn int     `json:"expiresIn"` // seconds, of the access token
	User      profile `json:"user"`
}

// logIn does not tell whether an address has an account: an unknown one is
// counted, takes as long, and is answered just as one with a wrong password.
func (f *Function) logIn(w http.ResponseWriter, r *http.Request) error {
	var in struct{ Email, Password string }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if err := f.allow(w, r, "client", client(r), f.Limits.Client, defaults.Client); err != nil {
		return err
	}
	email, err := names.SoughtEmail(in.Email)
	valid := err == nil
	if err := f.delay(w, r, names.EmailKey(in.Email)); err != nil {
		return err
	}
	account := chat.Account{PasswordHash: decoy}
	if valid {
		found, err := f.accounts.ByEmail(r.Context(), email)
		if err != nil && chat.KindOf(err) != chat.NotFound {
			return fmt.Errorf("reading an account: %w", err)
		}
		if err == nil && found.PasswordHash != "" {
			account = found
		}
	}
	ok, err := f.hasher.verify(r.Context(), account.PasswordHash, in.Password)
	if err != nil {
		return busy(w, err)
	}
	if !ok {
		return chat.Errorf(chat.Unauthenticated, "the email address or the password is wrong")
	}
	s := chat.Session{ID: names.NewSession(), User: account.ID, Created: chat.Now(), Expires: chat.Now().Add(refreshFor)}
	token := f.refresher.first(s.ID)
	s.Refresh = hashOf(token)
	if err := f.sessions.Open(r.Context(), s); err != nil {
		return fmt.Errorf("opening a session: %w", err)
	}
	return f.issue(w, account, s.ID, token)
}

func (f *Function) issue(w http.ResponseWriter, account chat.Account, session, refresh string) error {
	access, err := f.signer.Sign(auth.Claims{
		User: account.ID, Nickname: account.Nickname, Session: session, Expires: time.Now().Add(accessFor),
	})
	if err != nil {
		return err
	}
	serve.JSON(w, http.StatusOK, tokens{
		Access: access, Refresh: refresh, ExpiresIn: int(accessFor.Seconds()), User: profileOf(account),
	})
	return nil
}

// logOut ends the session that the access token is of. Again is as good as once.
func (f *Function) logOut(w http.ResponseWriter, r *http.Request) error {
	claims, err := f.genuine.Request(r)
	if err != nil {
		return err
	}
	switch err := f.sessions.Revoke(r.Context(), claims.Session); {
	case chat.KindOf(err) == chat.NotFound:
		return chat.Errorf(chat.Unauthenticated, "the access token's session is unknown")
	case err != nil:
		return fmt.Errorf("revoking a session: %w", err)
	}
	if err := f.revoked(r.Context(), claims.User, claims.Session); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// end ends a session of which an old token was used, and tells the connectors.
func (f *Function) end(ctx context.Context, id string) error {
	ctx = context.WithoutCancel(ctx)
	s, err := f.sessions.Session(ctx, id)
	if err == nil {
		err = f.sessions.Revoke(ctx, id)
	}
	if err != nil {
		return fmt.Errorf("revoking a session: %w", err)
	}
	return f.revoked(ctx, s.User, id)
}

// revoked makes the connectors close a session's sockets. Should it fail, they
// stay open until their access token expires.
func (f *Function) revoked(ctx context.Context, user chat.UserID, session string) error {
	e, err := chat.NewStreamEvent(names.NewEvent(), user, chat.SessionRevoked, chat.StreamOf(user), chat.RevokedData{Session: session})
	if err != nil {
		return err
	}
	if err := f.log.Append(context.WithoutCancel(ctx), &e); err != nil {
		return fmt.Errorf("telling of a revoked session: %w", err)
	}
	return nil
}
