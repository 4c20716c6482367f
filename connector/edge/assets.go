package edge

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

// contentSecurityPolicy restricts the page to its own files and its own origin.
const contentSecurityPolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// assets are the served files, by path.
type assets map[string]asset

// asset is one file of the web client, ready to send.
type asset struct {
	body        []byte
	contentType string
	etag        string
}

func loadAssets(files []fs.FS) (assets, error) {
	loaded := make(assets)
	for _, f := range files {
		err := fs.WalkDir(f, ".", func(p string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			body, err := fs.ReadFile(f, p)
			if err != nil {
				return err
			}
			sum := sha256.Sum256(body)
			a := asset{body: body, contentType: contentType(p), etag: `"` + hex.EncodeToString(sum[:8]) + `"`}
			loaded["/"+p] = a
			if p == "index.html" {
				loaded["/"] = a
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("files to serve: %w", err)
		}
	}
	return loaded, nil
}

func contentType(name string) string {
	switch path.Ext(name) {
	case ".js", ".mjs":
		return "text/javascript; charset=utf-8"
	case ".yaml":
		return "application/yaml"
	case ".webmanifest":
		return "application/manifest+json"
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

// serve answers with a file. Errors: NotFound, [NotAllowed].
func (files assets) serve(ctx *fasthttp.RequestCtx, path string) error {
	a, ok := files[path]
	if !ok {
		return chat.Errorf(chat.NotFound, "no such page")
	}
	if !ctx.IsGet() && !ctx.IsHead() {
		return NotAllowed("GET, HEAD")
	}
	h := &ctx.Response.Header
	h.Set("Content-Security-Policy", contentSecurityPolicy)
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cache-Control", "no-cache")
	h.Set("ETag", a.etag)
	h.SetContentType(a.contentType)
	if matches(ctx.Request.Header.PeekAll("If-None-Match"), a.etag) {
		ctx.SetStatusCode(http.StatusNotModified)
		return nil
	}
	ctx.SetBody(a.body)
	return nil
}

// matches reports whether If-None-Match has the tag by weak comparison (RFC 9110),
// since caches and compressing proxies make tags weak.
func matches(lines [][]byte, etag string) bool {
	for _, line := range lines {
		for tag := range strings.SplitSeq(string(line), ",") {
			tag = strings.TrimSpace(tag)
			if tag == "*" || strings.TrimPrefix(tag, "W/") == etag {
				return true
			}
		}
	}
	return false
}
