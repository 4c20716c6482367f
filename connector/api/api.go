// Package api holds the documents that describe Knatter to other programs. The
// connector serves them beside the web client.
package api

import "embed"

// Files are openapi.yaml (HTTP) and asyncapi.yaml (WebSocket and Kafka).
//
//go:embed openapi.yaml asyncapi.yaml
var Files embed.FS
