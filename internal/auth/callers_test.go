package auth

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"knatter.dev/chat"
)

const (
	oldSecret = "old-secret-0123456789"
	newSecret = "new-secret-0123456789"
)

func TestCallers(t *testing.T) {
	callers, err := NewCallers(newSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		header, value string
		want          bool
	}{
		"nothing":                 {"", "", false},
		"an empty secret":         {CallerHeader, "", false},
		"the first":               {CallerHeader, newSecret, true},
		"the second":              {CallerHeader, oldSecret, true},
		"both":                    {CallerHeader, newSecret + "," + oldSecret, false},
		"cut off":                 {CallerHeader, newSecret[:len(newSecret)-1], false},
		"with more":               {CallerHeader, newSecret + "0", false},
		"in capitals":             {CallerHeader, strings.ToUpper(newSecret), false},
		"as KafkaSource has it":   {"ce-" + CallerAttribute, newSecret, true},
		"another's as attribute":  {"ce-" + CallerAttribute, "another-secret-01234", false},
		"as a token":              {"Authorization", "Bearer " + newSecret, false},
		"long":                    {CallerHeader, strings.Repeat(newSecret, 100), false},
		"of a proxy's own header": {"Proxy-Authorization", newSecret, false},
	} {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		if c.header != "" {
			r.Header.Set(c.header, c.value)
		}
		if got := callers.Admits(r); got != c.want {
			t.Errorf("%s: admitted %v, want %v", name, got, c.want)
		}
	}
	if !(*Callers)(nil).Admits(httptest.NewRequest(http.MethodPost, "/", nil)) {
		t.Error("a function that demands nothing refuses")
	}
}

// What is shown is our own, whatever the request had.
func TestCallersShow(t *testing.T) {
	callers, err := NewCallers(newSecret, oldSecret)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		callers *Callers
		want    string
	}{"ours": {callers, newSecret}, "none": {nil, ""}} {
		h := http.Header{CallerHeader: {"forged-0123456789", "and another"}, attributeHeader: {"forged-0123456789"}}
		if c.callers.Show(h); h.Get(CallerHeader) != c.want || len(h.Values(CallerHeader)) > 1 || h.Get(attributeHeader) != "" {
			t.Errorf("%s: %v", name, h)
		}
	}
}

func TestNewCallersRefuses(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none":          nil,
		"empty":         {""},
		"short":         {newSecret, "short"},
		"spaces":        {"a secret with spaces"},
		"not ASCII":     {"비밀비밀비밀비밀비밀비밀"},
		"line's ending": {newSecret + "\n"},
	} {
		_, err := NewCallers(secrets...)
		if chat.KindOf(err) != chat.Invalid {
			t.Errorf("%s: %v", name, err)
		}
		for _, s := range secrets {
			if s != "" && err != nil && strings.Contains(err.Error(), s) {
				t.Errorf("%s: the error tells the secret", name)
			}
		}
	}
}
