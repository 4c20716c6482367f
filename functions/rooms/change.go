package rooms

import (
	"context"
	"encoding/json"
	"net/http"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/serve"
	"knatter.dev/chat/internal/view"
)

// memberChange is what a request changes of a member.
type memberChange struct {
	Role       *chat.Role
	MutedUntil mute
}

// mute is until when a member is muted: a time or, to end it, null. One that is not
// there changes nothing.
type mute struct {
	there bool
	until *chat.Time
}

// UnmarshalJSON implements json.Unmarshaler, which is called for null too.
func (m *mute) UnmarshalJSON(b []byte) error {
	m.there = true
	if string(b) == "null" {
		return nil
	}
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return chat.Errorf(chat.Malformed, "mutedUntil is neither a string nor null")
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil || at.UTC().Year() > 9999 || at.UTC().Year() < 0 {
		return chat.Errorf(chat.Invalid, "mutedUntil must be a time as in RFC 3339, or null")
	}
	m.until = &chat.Time{Time: at.UTC().Truncate(time.Millisecond)}
	return nil
}

// changeMember lets an owner give a member another role, and owners and moderators
// mute plain members.
func (f *Function) changeMember(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	var in memberChange
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if in.Role == nil && !in.MutedUntil.there {
		return chat.Errorf(chat.Invalid, "role or mutedUntil must be there")
	}
	if in.Role != nil {
		if err := oneOf("role", *in.Role, chat.Owner, chat.Moderator, chat.Plain); err != nil {
			return err
		}
	}
	ctx, user := r.Context(), chat.UserID(r.PathValue("user"))
	if in.MutedUntil.there {
		if v, err = f.owned(ctx, v); err != nil {
			return err
		}
		if err := f.mayMute(ctx, v, user, in.Role); err != nil {
			return err
		}
	}
	var target chat.Membership
	if in.Role != nil {
		if target, err = f.setRole(ctx, v, user, *in.Role); err != nil {
			return err
		}
	}
	if in.MutedUntil.there {
		if target, err = f.mute(ctx, v, user, in.MutedUntil.until); err != nil {
			return err
		}
	}
	serve.JSON(w, http.StatusOK, view.MemberOf(target))
	return nil
}

// mayMute checks that the caller may mute a member, or end that; role is what the
// member gets at the same time, if it is not nil. Errors: Forbidden, NotFound.
func (f *Function) mayMute(ctx context.Context, v visit, user chat.UserID, role *chat.Role) error {
	if v.self.Role == chat.Plain {
		return chat.Errorf(chat.Forbidden, "only owners and moderators may mute")
	}
	target, err := f.membership(ctx, v.room.ID, user)
	if err != nil {
		return err
	}
	if !target.Active {
		return chat.Errorf(chat.NotFound, "no such member")
	}
	if role != nil {
		target.Role = *role
	}
	if target.Role != chat.Plain {
		return chat.Errorf(chat.Forbidden, "only plain members can be muted")
	}
	return nil
}

// mute mutes a member until a time; nil ends it. Of two at the same moment the later
// in the log counts.
func (f *Function) mute(ctx context.Context, v visit, user chat.UserID, until *chat.Time) (chat.Membership, error) {
	target, err := f.membership(ctx, v.room.ID, user)
	if err != nil {
		return target, err
	}
	e, err := newMemberEvent(v.user, chat.MemberUpdated, v.room.ID, chat.MemberData{
		User: user, Nickname: target.Nickname, Role: target.Role, MutedUntil: until, Changed: chat.ChangedMute,
	})
	if err != nil {
		return target, err
	}
	if err := members.Publish(ctx, f.log, f.rooms, e); err != nil {
		return target, err
	}
	target.MutedUntil = time.Time{}
	if until != nil {
		target.MutedUntil = until.Time
	}
	return target, nil
}
