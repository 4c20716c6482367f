// Package functions has the table of all functions.
package functions

import (
	"knatter.dev/chat/functions/accounts"
	"knatter.dev/chat/functions/fanout"
	"knatter.dev/chat/functions/history"
	"knatter.dev/chat/functions/index"
	"knatter.dev/chat/functions/persist"
	"knatter.dev/chat/functions/rooms"
	"knatter.dev/chat/functions/search"
	"knatter.dev/chat/internal/function"
)

// All are the functions, whose names those of [knatter.dev/chat.RequestFunctions] and
// [knatter.dev/chat.EventFunctions] are.
var All = []function.Spec{
	accounts.Spec, rooms.Spec, history.Spec, search.Spec,
	persist.Spec, index.Spec, fanout.Spec,
}
