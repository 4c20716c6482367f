package main

import (
	"context"
	"fmt"
	"net/http"
	"slices"

	"golang.org/x/sync/errgroup"

	"knatter.dev/chat"
)

// fresh compares what the receivers of each room know at the end with what the server
// shows to somebody who comes now. It returns how many rooms differ, and how the first
// ones do.
func (p *people) fresh(ctx context.Context, users []user, rooms []chat.RoomID, told map[chat.RoomID]known) (differing uint64, details []string, err error) {
	loaded := make([]known, len(rooms))
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallelCalls)
	for r, id := range rooms {
		g.Go(func() (err error) {
			loaded[r] = known{Room: id}
			if loaded[r].Messages, err = p.messages(ctx, users[r].token, id); err != nil {
				return err
			}
			for i := r; i < len(users); i += len(rooms) {
				read, err := p.read(ctx, users[i].token, id)
				if err != nil {
					return err
				}
				loaded[r].Marks = append(loaded[r].Marks, int64(read))
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return 0, nil, err
	}
	for _, l := range loaded {
		k := told[l.Room]
		if slices.Equal(k.Messages, l.Messages) && slices.Equal(k.Marks, l.Marks) {
			continue
		}
		differing++
		if len(details) < 10 {
			details = append(details, fmt.Sprintf("room %s is not as its receivers know it: %s", l.Room, difference(k, l)))
		}
	}
	return differing, details, nil
}

// messages are the states of a room's last messages.
func (p *people) messages(ctx context.Context, token string, room chat.RoomID) ([]state, error) {
	var page struct {
		Messages []struct {
			Sequence   chat.Sequence `json:"sequence"`
			Text       string        `json:"text"`
			EditedTime string        `json:"editedTime"`
			Deleted    bool          `json:"deleted"`
			Reactions  []struct {
				Emoji string        `json:"emoji"`
				Users []chat.UserID `json:"users"`
			} `json:"reactions"`
		} `json:"messages"`
	}
	if err := p.call(ctx, http.MethodGet, fmt.Sprintf("/v1/rooms/%s/messages?limit=%d", room, recentMost), token, nil, &page); err != nil {
		return nil, err
	}
	var states []state
	for _, m := range page.Messages {
		s := state{Sequence: int64(m.Sequence), Recalled: m.Deleted, Edited: m.EditedTime != ""}
		if !m.Deleted {
			s.Text = hash(m.Text)
		}
		for _, r := range m.Reactions {
			for _, user := range r.Users {
				s.Reactions += hash(string(user), r.Emoji)
			}
		}
		states = append(states, s)
	}
	return states, nil
}

// read is a user's read mark in a room.
func (p *people) read(ctx context.Context, token string, room chat.RoomID) (chat.Sequence, error) {
	var list struct {
		Rooms []struct {
			ID   chat.RoomID   `json:"id"`
			Read chat.Sequence `json:"read"`
		} `json:"rooms"`
	}
	if err := p.call(ctx, http.MethodGet, "/v1/rooms", token, nil, &list); err != nil {
		return 0, err
	}
	for _, r := range list.Rooms {
		if r.ID == room {
			return r.Read, nil
		}
	}
	return 0, fmt.Errorf("room %s is not in its member's list", room)
}
