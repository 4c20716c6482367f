package view_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat/internal/view"
)

func TestTimesHaveThreeDigits(t *testing.T) {
	seoul := time.FixedZone("KST", 9*60*60)
	for in, want := range map[time.Time]string{
		time.Date(2026, 11, 1, 2, 3, 4, 0, time.UTC):            `"2026-11-01T02:03:04.000Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 500_000_000, time.UTC):  `"2026-11-01T02:03:04.500Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 120_000_000, time.UTC):  `"2026-11-01T02:03:04.120Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 7_999_999, time.UTC):    `"2026-11-01T02:03:04.007Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 0, seoul):               `"2026-10-31T17:03:04.000Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 999_000_000, time.UTC):  `"2026-11-01T02:03:04.999Z"`,
		time.Date(2026, 11, 1, 2, 3, 4, 10_000_000, time.Local): "",
	} {
		b, err := json.Marshal(view.Time{Time: in})
		if err != nil {
			t.Fatal(err)
		}
		if want != "" && string(b) != want {
			t.Errorf("%v is %s, want %s", in, b, want)
		}
		var back view.Time
		if err := json.Unmarshal(b, &back); err != nil || !back.Equal(in.Truncate(time.Millisecond)) {
			t.Errorf("%s comes back as %v, %v", b, back.Time, err)
		}
		for name, marshal := range map[string]func() (string, error){
			"in a struct": func() (string, error) {
				b, err := json.Marshal(struct {
					Time view.Time `json:"time"`
				}{view.Time{Time: in}})
				return string(b), err
			},
			"as a key": func() (string, error) {
				b, err := json.Marshal(map[view.Time]int{{Time: in}: 1})
				return string(b), err
			},
		} {
			if got, err := marshal(); err != nil || !strings.Contains(got, string(b)) {
				t.Errorf("%s: %s, %v; want %s", name, got, err, b)
			}
		}
	}
}
