package mongo

import (
	"errors"
	"net"
	"net/url"
	"strings"

	"go.mongodb.org/mongo-driver/v2/mongo/options"

	"knatter.dev/chat"
)

// parse reads a URL, with our timeouts where it has none of its own. No error
// shows the password that may be in it. Errors: Invalid; Unavailable when a name
// in DNS cannot be looked up now.
func parse(given string) (*options.ClientOptions, string, error) {
	scheme, rest, _ := strings.Cut(given, "://")
	authority, path, _ := strings.Cut(rest, "/")
	path, _, _ = strings.Cut(path, "?")
	database, err := url.PathUnescape(path)
	switch {
	case scheme != "mongodb" && scheme != "mongodb+srv":
		return nil, "", chat.Errorf(chat.Invalid, "a store's URL begins with mongodb:// or mongodb+srv://")
	case err != nil || database == "" || len(database) > 63 || strings.ContainsAny(database, "/\\. \"$*<>:|?\x00"):
		return nil, "", chat.Errorf(chat.Invalid, "a store's URL names the database: %s://host/database", scheme)
	}
	// The driver's complaints quote what they are about, so they are about the same
	// without secrets first.
	shown := given
	if at := strings.LastIndex(authority, "@"); at >= 0 {
		user := "user"
		if strings.Contains(authority[:at], ":") {
			user = "user:password"
		}
		shown = scheme + "://" + user + authority[at:] + strings.TrimPrefix(rest, authority)
	}
	if err := options.Client().ApplyURI(shown).Validate(); err != nil {
		if dns := (*net.DNSError)(nil); errors.As(err, &dns) {
			return nil, "", chat.Errorf(chat.Unavailable, "the store's URL: %w", err)
		}
		return nil, "", chat.Errorf(chat.Invalid, "the store's URL: %w", err)
	}
	opts := options.Client().ApplyURI(given)
	if opts.Validate() != nil {
		return nil, "", chat.Errorf(chat.Invalid, "the store's URL: user and password are not written as in URLs, with %%40 for @ and the like")
	}
	if opts.ServerSelectionTimeout == nil {
		opts.SetServerSelectionTimeout(selectionTimeout)
	}
	if opts.ConnectTimeout == nil {
		opts.SetConnectTimeout(connectTimeout)
	}
	if opts.AppName == nil {
		opts.SetAppName("knatter")
	}
	return opts, database, nil
}
