package view

import "knatter.dev/chat"

// Time is a time as all answers have it.
type Time = chat.Time
