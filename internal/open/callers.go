package open

import (
	"os"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
)

// Callers reads the secrets by which functions know their callers: one or several,
// separated by commas or white space, of which callers show the first.
//
//	KNATTER_CALLER_SECRET         or
//	KNATTER_CALLER_SECRET_FILE    with them in it
//
// Without either they are nil. Errors: Invalid; also when one of the variables is
// there and says nothing, since whoever set it wants callers to be checked.
func Callers(env map[string]string) (*auth.Callers, error) {
	const name = "KNATTER_CALLER_SECRET"
	secrets, given := env[name]
	file := env[name+"_FILE"]
	if file == "" && !given {
		return nil, nil
	}
	if file != "" {
		if secrets != "" {
			return nil, chat.Errorf(chat.Invalid, "only one of %s and %s_FILE may be set", name, name)
		}
		content, err := os.ReadFile(file)
		if err != nil {
			return nil, chat.Errorf(chat.Invalid, "%s_FILE: %w", name, err)
		}
		secrets = string(content)
	}
	callers, err := auth.NewCallers(strings.FieldsFunc(secrets, separates)...)
	if err != nil {
		return nil, chat.Errorf(chat.Invalid, "%s: %w", name, err)
	}
	return callers, nil
}

func separates(r rune) bool { return r == ',' || r == ' ' || r == '\t' || r == '\r' || r == '\n' }
