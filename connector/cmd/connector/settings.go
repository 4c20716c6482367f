package main

import (
	"os"
	"slices"
	"strconv"
	"strings"

	"knatter.dev/chat"
	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/open"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

// unset is an ordinal that is to be found out.
const unset = -1

// config is what the program is told.
type config struct {
	listen     string
	admin      string
	ordinal    int
	deliveries int32
	functions  map[string]*string // URLs by name
	connector  connector.Config
	hostname   func() (string, error)
}

func newConfig() *config {
	return &config{listen: ":8080", admin: ":8081", ordinal: unset, functions: make(map[string]*string), hostname: os.Hostname}
}

func (c *config) settings() []setting.Setting {
	all := slices.Concat(
		[]setting.Setting{
			setting.Text(&c.listen, "listen", "address", "Serve page, WebSocket and HTTP on this address"),
			program.AdminAddress(&c.admin),
			setting.Number(&c.ordinal, "ordinal", 0, 99_999, "This connector's partition of chat.deliveries, which no other connector may have; by default the number after the last \"-\" of the host's name"),
		},
		open.StoreAndLogSettings(),
		[]setting.Setting{
			open.DeliveryPartitions(&c.deliveries),
			open.KeySetting(new(string)),
		},
		open.CallerSettings(),
	)
	for _, name := range chat.RequestFunctions {
		c.functions[name] = new(string)
		all = append(all, open.FunctionURL(c.functions[name], name).Require())
	}
	return append(all, connector.Settings(&c.connector)...)
}

// place finds out the connector's ordinal: from the host's name as StatefulSets give it,
// unless it is set. Errors: Invalid.
func (c *config) place() error {
	c.connector.Ordinal = c.ordinal
	if c.ordinal == unset {
		host, err := c.hostname()
		if err != nil {
			return chat.Errorf(chat.Invalid, "KNATTER_ORDINAL must be set, as the host's name is not known: %w", err)
		}
		name, _, _ := strings.Cut(host, ".")
		at := strings.LastIndexByte(name, '-')
		number, err := strconv.ParseUint(name[at+1:], 10, 16)
		if err != nil || at < 0 {
			return chat.Errorf(chat.Invalid, "KNATTER_ORDINAL must be set, as the host's name, %s, does not end in \"-\" and a number", host)
		}
		c.connector.Ordinal = int(number)
	}
	if n, partitions := c.connector.Ordinal, int(c.deliveries); partitions > 0 && n >= partitions {
		return chat.Errorf(chat.Invalid, "KNATTER_ORDINAL is %d, but KNATTER_DELIVERY_PARTITIONS is %d, which are for the ordinals below that", n, partitions)
	}
	return nil
}
