package connector

import (
	"testing"
	"testing/synctest"

	"knatter.dev/chat"
)

// takes reports whether a page is to be had at once.
func takes(t *testing.T, p *pages, user chat.UserID) bool {
	t.Helper()
	done := make(chan struct{})
	got := make(chan bool, 1)
	go func() { got <- p.take(user, done) }()
	synctest.Wait()
	select {
	case ok := <-got:
		return ok
	default:
		close(done)
		return <-got
	}
}

func TestPagesAreShared(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPages()
		for i := range userPages {
			if !takes(t, p, "slow") {
				t.Fatalf("page %d has to wait", i)
			}
		}
		if takes(t, p, "slow") {
			t.Error("a user got more than the share")
		}
		if !takes(t, p, "bystander") {
			t.Error("a bystander has to wait for another user")
		}
		p.give("bystander")
		waiting := make(chan bool)
		go func() { waiting <- p.take("slow", nil) }()
		synctest.Wait()
		p.give("slow")
		if !<-waiting {
			t.Error("who waited got nothing")
		}
		for p.held < manyPages {
			p.take(chat.UserID(rune('a'+p.held)), nil)
		}
		if !takes(t, p, "bystander") || takes(t, p, "bystander") {
			t.Error("when there are many, each user has one")
		}
		for p.held < allPages {
			p.take(chat.UserID(rune('a'+p.held)), nil)
		}
		if takes(t, p, "another") {
			t.Error("more pages than memory is meant for")
		}
	})
}
