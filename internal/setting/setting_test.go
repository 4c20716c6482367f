package setting_test

import (
	"strings"
	"testing"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/setting"
)

// config has a setting of each kind.
type config struct {
	count   int
	limit   int64
	pause   time.Duration
	name    string
	words   []string
	address string
	on      bool
}

func (c *config) settings() []setting.Setting {
	return []setting.Setting{
		setting.Number(&c.count, "count", 1, 9, "of them"),
		setting.Size(&c.limit, "limit", 1<<20, "of it"),
		setting.Time(&c.pause, "pause", time.Second, time.Hour, "between them"),
		setting.Text(&c.name, "name", "name", "of it"),
		setting.Words(&c.words, "words", "word,...", "to say"),
		setting.URL(&c.address, "address", "of it"),
		setting.Switch(&c.on, "on", "or off"),
	}
}

func TestBounds(t *testing.T) {

	for env, want := range map[string]string{
		"COUNT=1": "", "COUNT=9": "", "COUNT=0": "from 1 to 9", "COUNT=10": "from 1 to 9", "COUNT=-1": "from 1 to 9",
		"COUNT=99999999999999999999": "from 1 to 9", "COUNT=1.5": "from 1 to 9", "COUNT=1e0": "from 1 to 9", "COUNT= 5": "from 1 to 9", "COUNT=five": "from 1 to 9", "COUNT=0x5": "from 1 to 9",
		"LIMIT=1048576": "", "LIMIT=-1": "", "LIMIT=1048575": "or -1 for no limit", "LIMIT=0": "or -1", "LIMIT=-2": "or -1", "LIMIT=9223372036854775807": "or -1", "LIMIT=1GB": "or -1",
		"PAUSE=1s": "", "PAUSE=1h": "", "PAUSE=60m": "", "PAUSE=999ms": "from 1s to 1h", "PAUSE=3601s": "from 1s to 1h", "PAUSE=0": "from 1s to 1h", "PAUSE=0s": "from 1s to 1h", "PAUSE=-3s": "from 1s to 1h",
		"PAUSE=25": "as in 25s", "PAUSE=soon": "as in 25s", "PAUSE=99999999h": "as in 25s",
		"ADDRESS=http://h": "", "ADDRESS=h:80": "must be a URL", "ADDRESS=ftp://h": "must be a URL", "ADDRESS=http://": "must be a URL",
		"ON=true": "", "ON=0": "", "ON=yes": "must be true or false",
	} {
		name, value, _ := strings.Cut(env, "=")
		err := setting.Read(setting.Env{"KNATTER_" + name: value}, new(config).settings()...)
		if (err == nil) != (want == "") {
			t.Errorf("%s: %v", env, err)
			continue
		}
		if err != nil && (chat.KindOf(err) != chat.Invalid || !strings.HasPrefix(err.Error(), "KNATTER_"+name+" must be ") || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", env, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	c := config{count: 3, pause: 90 * time.Second, words: []string{"a", "b"}}
	want := map[string]string{"count": "3 [1 to 9]", "limit": " [1048576 to 9007199254740991, or -1]", "pause": "1m30s [1s to 1h]", "name": " []", "words": "a,b []", "address": " []", "on": " []"}
	for _, s := range c.settings() {
		if got := s.Default + " [" + s.Bounds + "]"; got != want[s.Name] {
			t.Errorf("%s: %q, want %q", s.Name, got, want[s.Name])
		}
	}
	if err := setting.Read(setting.Env{"KNATTER_COUNT": "", "KNATTER_WORDS": "x, y"}, c.settings()...); err != nil || c.count != 3 || c.pause != 90*time.Second || len(c.words) != 2 || c.words[1] != "y" {
		t.Errorf("%v, %+v", err, c)
	}
}

func TestRequired(t *testing.T) {
	var name string
	s := setting.Text(&name, "the-name", "name", "of it").Require()
	for _, env := range []setting.Env{nil, {"KNATTER_THE_NAME": ""}} {
		if err := setting.Read(env, s); chat.KindOf(err) != chat.Invalid || !strings.Contains(err.Error(), "KNATTER_THE_NAME or --the-name must be set: of it") {
			t.Errorf("%v: %v", env, err)
		}
	}
	if err := setting.Read(nil, s.Secret()); err == nil || strings.Contains(err.Error(), "--the-name") {
		t.Errorf("without a flag: %v", err)
	}
	if err := setting.Read(setting.Env{"KNATTER_THE_NAME": "x"}, s); err != nil || name != "x" {
		t.Errorf("%v, %q", err, name)
	}
}

// What is wrong is not quoted: it may be a secret that was put in the wrong place.
func TestErrorsDoNotQuote(t *testing.T) {
	for _, s := range new(config).settings() {
		if err := s.Set("--"+s.Name, "hunter2"); err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Error(err)
		}
	}
}
