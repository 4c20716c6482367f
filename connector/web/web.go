// Package web holds the web client that the connector serves: static files as
// they are, without a build step.
package web

import "embed"

// Files has index.html and everything that it loads, at the root.
//
//go:embed *.html *.css *.js *.svg *.webmanifest
var Files embed.FS
