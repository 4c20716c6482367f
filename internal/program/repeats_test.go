package program_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"knatter.dev/chat/internal/program"
)

func TestCalm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := slog.New(program.Calm(slog.NewTextHandler(&out, nil)))
		said := func() []string {
			synctest.Wait()
			lines := strings.Split(strings.TrimSpace(out.String()), "\n")
			out.Reset()
			if lines[0] == "" {
				return nil
			}
			return lines
		}
		// A thousand a second for ten seconds.
		for i := range 10_000 {
			log.With("partition", i%4).Error("fetching failed", "offset", i)
			time.Sleep(time.Millisecond)
		}
		time.Sleep(2 * time.Second)
		lines := said()
		if len(lines) < 10 || len(lines) > 12 {
			t.Errorf("%d lines in ten seconds:\n%s", len(lines), strings.Join(lines, "\n"))
		}
		if strings.Contains(lines[0], "left_out") || !strings.Contains(lines[0], "partition=0 offset=0") ||
			!strings.Contains(lines[1], "left_out=99") || !strings.Contains(lines[len(lines)-1], "offset=9999") {
			t.Errorf("said:\n%s", strings.Join(lines, "\n"))
		}
		// Other messages, other levels, and what is no fault, go on beside.
		log.Error("a")
		log.Error("b")
		log.Warn("a")
		log.Info("c")
		log.Info("c")
		if lines := said(); len(lines) != 5 {
			t.Errorf("said:\n%s", strings.Join(lines, "\n"))
		}
		// One more, a second later, is itself.
		time.Sleep(time.Second)
		log.Error("a")
		if lines := said(); len(lines) != 1 || strings.Contains(lines[0], "left_out") {
			t.Errorf("said:\n%s", strings.Join(lines, "\n"))
		}
		time.Sleep(time.Minute)
		if lines := said(); lines != nil {
			t.Errorf("said:\n%s", strings.Join(lines, "\n"))
		}
	})
}
