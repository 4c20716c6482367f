package tests

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"knatter.dev/chat/internal/wait/waittest"
)

// smallDisk is a directory with a disk of its own, of some megabytes.
func smallDisk(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", dir).CombinedOutput(); err != nil {
		skip(t, "cannot mount a small disk: "+string(out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	return dir
}

// On a full disk nothing is acknowledged, which readiness says; when there is room
// again, all goes on, and what was acknowledged is there.
func TestFullDisk(t *testing.T) {
	if elsewhere != nil {
		skip(t, "starts servers of its own")
	}
	s := &Server{dir: smallDisk(t), flags: []string{"--store", "pebble:" + t.TempDir()}}
	s.Start(t)
	t.Cleanup(func() { s.Stop(t) })
	alice := s.someone(t, "alice")
	room := alice.Creates("Full")
	alice.Sends(room, "before")
	ready := func() int {
		resp, _ := request(t, http.MethodGet, s.URL+"/readyz", "", nil, "")
		return resp.StatusCode
	}

	filler := filepath.Join(s.dir, "filler")
	f, err := os.Create(filler)
	if err != nil {
		t.Fatal(err)
	}
	for block := make([]byte, 4096); err == nil; {
		_, err = f.Write(block)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	conn := alice.Conn()
	send := func(text string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
		defer cancel()
		_, err := conn.Send(ctx, room, text)
		return err
	}
	var acked []string
	for i := range 100 { // what is open has some room left in its last page
		text := "during " + word(i)
		if send(text) != nil {
			break
		}
		acked = append(acked, text)
	}
	t.Logf("%d acknowledged on the full disk", len(acked))
	waittest.Within(t, 8*time.Second, "not ready while nothing can be acknowledged", func() bool { return ready() == http.StatusServiceUnavailable })
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	waittest.Within(t, 30*time.Second, "ready when there is room again", func() bool { return ready() == http.StatusOK })
	waittest.Until(t, "it goes on", func() bool { return send("after") == nil })
	there := make(map[string]int)
	for _, text := range texts(alice.Reads(room)) {
		there[text]++
	}
	for _, text := range append(acked, "before", "after") {
		if there[text] == 0 {
			t.Errorf("%q was acknowledged and is lost", text)
		}
	}
}
