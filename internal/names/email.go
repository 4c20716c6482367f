package names

import (
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/idna"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"

	"knatter.dev/chat"
)

const maxEmail = 254 // bytes: RFC 5321's longest path

// Email returns a new account's email address as it is stored and shown: without
// what is not seen, and with plain characters in place of full-width ones and the
// like. Whether it exists only a message to it could tell. Errors: Invalid.
func Email(typed string) (string, error) {
	email := norm.NFKC.String(strings.TrimSpace(typed))
	local, domain := cutEmail(email)
	local = withoutIgnorables(local)
	mapped := domain
	if !isASCII(domain) || strings.Contains(strings.ToLower(domain), "xn--") {
		var err error
		if mapped, err = lookUp(domain); err != nil {
			return "", chat.Invalidf("email-malformed", "email must have a valid domain after the @")
		}
	}
	if !utf8.ValidString(email) || !isShown(local) || !wellFormed(local+"@"+mapped) {
		return "", invalidEmail()
	}
	if isASCII(domain) {
		return local + "@" + domain, nil
	}
	return local + "@" + mapped, nil
}

// SoughtEmail returns an email address by which an account is looked for. More
// counts as one than [Email] takes: accounts from before keep theirs. Errors: Invalid.
func SoughtEmail(typed string) (string, error) {
	email := norm.NFC.String(strings.TrimSpace(typed))
	if wellFormed(email) {
		return email, nil
	}
	_, err := Email(typed)
	return email, err
}

// wellFormed reports whether email is an address and nothing else. The parser takes
// names, comments and quotes too, which it removes.
func wellFormed(email string) bool {
	parsed, err := mail.ParseAddress(email)
	return err == nil && parsed.Address == email && len(email) <= maxEmail
}

func invalidEmail() error {
	return chat.Invalidf("email-malformed", "email must be an email address of at most %d bytes", maxEmail)
}

// EmailKey returns what all spellings of an email address have in common, so that
// one person gets one account. IDN and punycode are one domain; in front of the @
// neither case counts nor what is not seen, nor do compatibility characters.
//
// What [EmailKeyBefore] joins it joins too. The key of a key is itself.
func EmailKey(email string) string {
	local, domain := cutEmail(norm.NFKC.String(EmailKeyBefore(email)))
	local = strings.TrimSpace(foldedTwice(withoutIgnorables(local)))
	if domain == "" {
		return local
	}
	mapped, err := lookUp(domain)
	if err != nil { // such as a_b.example, or one from before that would be refused now
		mapped = foldedTwice(withoutIgnorables(domain))
	}
	return local + "@" + strings.TrimRight(norm.NFC.String(folded(mapped)), ". ")
}

// EmailKeyBefore is what was compared before there was [EmailKey].
func EmailKeyBefore(email string) string { return caseless(strings.TrimSpace(email)) }

// caseless goes to upper and back, because there are letters that only share a
// capital.
func caseless(s string) string { return strings.ToLower(strings.ToUpper(s)) }

// folded is caseless, and the Turkish capital İ is the letter i, whether in one
// character or in two.
func folded(s string) string { return strings.ReplaceAll(caseless(s), "i\u0307", "i") }

// foldedTwice folds case as Unicode does, ß is ss, and composes. It does so twice,
// since what comes out can have another case; a test tries all letters.
func foldedTwice(s string) string {
	for range 2 {
		s = norm.NFKC.String(folded(cases.Fold().String(folded(s))))
	}
	return s
}

// lookUp maps a domain as UTS 46 does before a look-up. Capital ß has been small ß
// there since version 15.1, and ss before.
func lookUp(domain string) (string, error) {
	return idna.Lookup.ToUnicode(strings.ReplaceAll(domain, "ẞ", "ß"))
}

func cutEmail(email string) (local, domain string) {
	if at := strings.LastIndexByte(email, '@'); at >= 0 {
		return email[:at], email[at+1:]
	}
	return email, ""
}

// isShown reports whether all characters of s are seen, and at least one is more
// than a mark.
func isShown(s string) bool {
	hidden := func(c rune) bool { return !unicode.IsGraphic(c) || unicode.IsSpace(c) || isBlank(c) }
	return strings.ContainsFunc(s, isBase) && !strings.ContainsFunc(s, hidden)
}

func withoutIgnorables(s string) string {
	return strings.Map(func(c rune) rune {
		if isIgnorable(c) {
			return -1
		}
		return c
	}, s)
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(c rune) bool { return c > unicode.MaxASCII })
}
