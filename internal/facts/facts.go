// Package facts has what a message is found by beside the words of its text: whom it
// mentions, and whether it has a link, a file or an image. Each is a term of the search
// index that no text has: those of texts begin with a letter.
package facts

import (
	"encoding/json"
	"regexp"
	"slices"
	"strings"

	"knatter.dev/chat"
)

// Kinds are what a message can have, by the name that users give it, and the term of it.
// Files stay with a message when it is edited.
var Kinds = map[string]string{
	"link":  "#link",
	"file":  chat.Lasting + "file",
	"image": chat.Lasting + "image",
}

// Mention is the term of messages that mention a user, or [chat.Everyone].
func Mention(user chat.UserID) string { return "@" + string(user) }

// OfText are the terms that change when a message is edited.
func OfText(text string, mentions []chat.UserID) (terms []string) {
	for _, user := range mentions {
		if term := Mention(user); !slices.Contains(terms, term) {
			terms = append(terms, term)
		}
	}
	if hasLink(text) {
		terms = append(terms, Kinds["link"])
	}
	return terms
}

// link is what begins a link: http or https with a host, or a name that begins with www.
// Names without either are none: README.md and build.sh have a country's ending too.
var link = regexp.MustCompile(`(?i)\b(?:https?://[\p{L}\p{N}\[]|www\.[\p{L}\p{N}-]+\.[\p{L}]{2})`)

func hasLink(text string) bool {
	if !strings.Contains(text, "://") && !strings.Contains(text, "www.") && !strings.Contains(text, "WWW.") && !strings.Contains(text, "Www.") {
		return false // as nearly all; the expression would take its time
	}
	return link.MatchString(text)
}

// OfAttachments are the terms of a message's attachments, as they are logged or shown: one
// is an image if its type says so.
func OfAttachments(attachments json.RawMessage) (terms []string) {
	if len(attachments) == 0 {
		return nil
	}
	var files []struct {
		Type string `json:"type"`
	}
	if json.Unmarshal(attachments, &files) != nil || len(files) == 0 {
		return nil
	}
	terms = append(terms, Kinds["file"])
	for _, f := range files {
		if strings.HasPrefix(strings.ToLower(f.Type), "image/") {
			return append(terms, Kinds["image"])
		}
	}
	return terms
}
