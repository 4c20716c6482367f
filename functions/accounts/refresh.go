package accounts

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/serve"
)

// refresher makes refresh tokens: the session's ID, a dot, and a secret. The secret
// is 32 bytes that nobody can guess and 16 that show that they are ours: so of a
// token that does not count it can be told whether it once did, which means that
// somebody has a copy, or whether it was made up, which means nothing.
//
// A token's successor follows from it, by a key that all instances have: whoever
// brings the token a second time gets the same successor, from whichever of them.
type refresher struct{ key []byte }

const (
	secretBytes = 32
	markBytes   = 16
)

var encoding = base64.RawURLEncoding

// first returns the first token of a session.
func (f refresher) first(session string) (token string) {
	return f.token(session, randomBytes(secretBytes))
}

// next returns the token that follows a session's token with the secret.
func (f refresher) next(session, secret string) (token string) {
	return f.token(session, f.mac("next", session, secret))
}

func (f refresher) token(session string, secret []byte) string {
	text := encoding.EncodeToString(secret)
	return session + "." + encoding.EncodeToString(append(secret, f.mac("mark", session, text)[:markBytes]...))
}

// made reports whether we have made the secret for the session.
func (f refresher) made(session, secret string) bool {
	b, err := encoding.DecodeString(secret)
	if err != nil || len(b) != secretBytes+markBytes {
		return false
	}
	mark := f.mac("mark", session, encoding.EncodeToString(b[:secretBytes]))[:markBytes]
	return subtle.ConstantTimeCompare(mark, b[secretBytes:]) == 1
}

func (f refresher) mac(what, session, secret string) []byte {
	h := hmac.New(sha256.New, f.key)
	_, _ = fmt.Fprintf(h, "%s %s %s", what, session, secret) // none of them has spaces; hashes never fail
	return h.Sum(nil)
}

// hashOf is what the store holds of a token. Its secret needs no slow hash.
func hashOf(token string) string {
	_, secret, _ := strings.Cut(token, ".")
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// refresh replaces a refresh token by its successor, and answers it once more when
// it comes again within [chat.RefreshGrace]. A token of ours that is older has been
// stolen, or the thief was first: the session ends. One that we did not make ends
// nothing, or anybody who has seen a session's ID could.
func (f *Function) refresh(w http.ResponseWriter, r *http.Request) error {
	var in struct{ RefreshToken string }
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if err := f.allow(w, r, "client", client(r), f.Limits.Client, defaults.Client); err != nil {
		return err
	}
	refused := chat.Errorf(chat.Unauthenticated, "the refresh token does not count (any more), log in again")
	id, secret, _ := strings.Cut(in.RefreshToken, ".")
	if id == "" || secret == "" || len(in.RefreshToken) > 256 {
		return refused
	}
	token := f.refresher.next(id, secret)
	s, err := f.sessions.Rotate(r.Context(), id, hashOf(in.RefreshToken), hashOf(token), chat.Now(), chat.Now().Add(refreshFor))
	switch chat.KindOf(err) {
	case chat.Forbidden:
		if f.refresher.made(id, secret) {
			if err := f.end(r.Context(), id); err != nil {
				return err
			}
		}
		return refused
	case chat.NotFound, chat.Unauthenticated:
		return refused
	}
	if err != nil {
		return fmt.Errorf("rotating a refresh token: %w", err)
	}
	account, err := f.accountOf(r.Context(), s.User)
	if err != nil {
		return err
	}
	return f.issue(w, account, id, token)
}
