package facts_test

import (
	"encoding/json"
	"slices"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/facts"
)

func TestLinks(t *testing.T) {
	for text, want := range map[string]bool{
		"http://example.com":                   true,
		"보세요https://example.com/a?b=c#d 그리고":   true,
		"HTTPS://EXAMPLE.COM":                  true,
		"(see http://localhost:8080)":          true,
		"http://[::1]/":                        true,
		"https://한국.kr":                        true,
		"www.example.com":                      true,
		"Www.Example.Com/a":                    true,
		"go to www.naver.com, please":          true,
		"":                                     false,
		"http://":                              false,
		"https:// example.com":                 false,
		"xhttp://example.com":                  false,
		"ftp://example.com":                    false,
		"www.":                                 false,
		"www.a":                                false,
		"see README.md, build.sh, example.com": false,
		"mail me at a@www.example.com":         true,
		"://":                                  false,
	} {
		if got := slices.Contains(facts.OfText(text, nil), facts.Kinds["link"]); got != want {
			t.Errorf("%q: %t", text, got)
		}
	}
}

func TestFacts(t *testing.T) {
	if got := facts.OfText("hi", []chat.UserID{"bob", chat.Everyone, "bob"}); !slices.Equal(got, []string{"@bob", "@*"}) {
		t.Errorf("mentions: %q", got)
	}
	for raw, want := range map[string][]string{
		``:               nil,
		`[]`:             nil,
		`{}`:             nil,
		`[{"file":"a"}]`: {facts.Kinds["file"]},
		`[{"file":"a","type":"text/plain"},{"file":"b","type":"Image/PNG"}]`: {facts.Kinds["file"], facts.Kinds["image"]},
	} {
		if got := facts.OfAttachments(json.RawMessage(raw)); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", raw, got, want)
		}
	}
}
