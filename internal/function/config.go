package function

import (
	"time"

	"knatter.dev/chat/internal/messages"
	"knatter.dev/chat/internal/setting"
)

// Config is what can be set of functions.
type Config struct {
	Windows messages.Windows

	// ReceiptsMembers is up to how many active members a room shows who has read what.
	ReceiptsMembers int
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Windows: messages.Windows{Edit: 24 * time.Hour, Recall: 24 * time.Hour}, ReceiptsMembers: 100}
}

const (
	mostWindow          = 100 * 365 * 24 * time.Hour
	mostReceiptsMembers = 10_000 // of a room
)

// WindowSettings are how long a message can be changed by its sender.
func (c *Config) WindowSettings() []setting.Setting {
	return []setting.Setting{
		setting.Time(&c.Windows.Edit, "edit-window", 0, mostWindow, "Maximum age of a message that its sender edits; 0 means no limit"),
		setting.Time(&c.Windows.Recall, "recall-window", 0, mostWindow, "Maximum age of a message that its sender recalls; 0 means no limit. Owners and moderators delete at any time"),
	}
}

// ReceiptSettings are where read marks are shown.
func (c *Config) ReceiptSettings() []setting.Setting {
	return []setting.Setting{setting.Number(&c.ReceiptsMembers, "receipts-members", 0, mostReceiptsMembers, "Show read marks in rooms of at most so many active members; 0 means in none")}
}
