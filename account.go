package chat

import "time"

// Account is a person who can log in.
type Account struct {
	ID           UserID
	Email        string // as it is shown; unique in all its spellings
	Nickname     string
	PasswordHash string // PHC string; empty when the account has no password
	Created      time.Time
}

// Session is one login: the family of refresh tokens that descend from it. The
// access tokens carry its ID as claim "sid".
type Session struct {
	ID      string
	User    UserID
	Refresh string // hash of the only refresh token that is valid now
	Created time.Time
	Rotated time.Time // when that token took its predecessor's place; zero for the first one
	Expires time.Time // of the refresh token
	Revoked bool
}

// RefreshGrace is how long a refresh token is good for its successor once more: for
// two tabs that refresh at once, and for an answer that got lost.
const RefreshGrace = 10 * time.Second
