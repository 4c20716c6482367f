package projection

import (
	"slices"
	"time"

	"knatter.dev/chat"
)

// Member is what the log says about one user in one room. Each thing that events
// change on its own has the sequence of the last event that did.
//
// Joins are those after the last end, in ascending order. The first of them began
// the present stay; there are others only if the user was let in twice at the same
// moment. All are kept because an end that is applied late can fall between them.
type Member struct {
	Nickname   string        `json:"nickname" bson:"nickname"`
	NicknameAt chat.Sequence `json:"nicknameAt,omitzero" bson:"nicknameAt"`
	Role       chat.Role     `json:"role" bson:"role"`
	RoleAt     chat.Sequence `json:"roleAt,omitzero" bson:"roleAt"`

	Muted    Latest[time.Time]   `json:"muted,omitzero" bson:"muted"` // until then, over the ends of stays
	Notify   Latest[chat.Notify] `json:"notify,omitzero" bson:"notify"`
	Favorite Latest[bool]        `json:"favorite,omitzero" bson:"favorite"`

	Joins   []chat.Sequence `json:"joins,omitempty" bson:"joins"`
	Joined  chat.Sequence   `json:"joined,omitzero" bson:"joined"`   // the last time
	Ended   chat.Sequence   `json:"ended,omitzero" bson:"ended"`     // left or was removed
	Removed chat.Sequence   `json:"removed,omitzero" bson:"removed"` // was removed

	Invited   chat.Sequence `json:"invited,omitzero" bson:"invited"`
	InvitedBy chat.UserID   `json:"invitedBy,omitempty" bson:"invitedBy"`
	InvitedAt time.Time     `json:"invitedAt,omitzero" bson:"invitedAt"`
	Declined  chat.Sequence `json:"declined,omitzero" bson:"declined"` // by the user, or withdrawn

	Sequence chat.Sequence `json:"sequence,omitzero" bson:"sequence"` // of the last event that the room saw
}

// memberOf is what one event says about a member. The events of a stay's end repeat
// nickname and role, which they do not change.
func memberOf(e *chat.Event) (chat.UserID, *Member, error) {
	var d chat.MemberData
	if err := e.Decode(&d); err != nil {
		return "", nil, err
	}
	if !d.User.Valid() {
		return "", nil, chat.Errorf(chat.Invalid, "data.user must be a user's id")
	}
	m := new(Member)
	switch e.Type {
	case chat.MemberPreferred:
		if d.Notify != "" {
			m.Notify = Latest[chat.Notify]{d.Notify, e.Sequence}
		}
		if d.Favorite != nil {
			m.Favorite = Latest[bool]{*d.Favorite, e.Sequence}
		}
		return d.User, m, nil
	case chat.MemberInvited:
		m.Invited, m.InvitedBy, m.InvitedAt = e.Sequence, e.User(), e.Time
		return d.User, m, nil
	case chat.MemberDeclined:
		m.Declined = e.Sequence
		return d.User, m, nil
	case chat.MemberJoined:
		m.Joins, m.Joined = []chat.Sequence{e.Sequence}, e.Sequence
	case chat.MemberRemoved:
		m.Ended, m.Removed = e.Sequence, e.Sequence
	case chat.MemberLeft:
		m.Ended = e.Sequence
	}
	m.Sequence = e.Sequence
	if m.Ended != 0 {
		return d.User, m, nil
	}
	about := func(what string) bool { return d.Changed == "" || d.Changed == what }
	if d.Nickname != "" && about(chat.ChangedNickname) {
		m.Nickname, m.NicknameAt = d.Nickname, e.Sequence
	}
	if d.Role != "" && about(chat.ChangedRole) {
		m.Role, m.RoleAt = d.Role, e.Sequence
	}
	if d.Changed == chat.ChangedMute {
		m.Muted.At = e.Sequence
		if d.MutedUntil != nil {
			m.Muted.Is = d.MutedUntil.UTC()
		}
	}
	return d.User, m, nil
}

// Merge adds what from knows and reports whether anything changed.
func (m *Member) Merge(from *Member) (changed bool) {
	is := func(c bool) bool { changed = changed || c; return c }
	is(later(&m.Sequence, from.Sequence))
	if is(later(&m.NicknameAt, from.NicknameAt)) {
		m.Nickname = from.Nickname
	}
	if is(later(&m.RoleAt, from.RoleAt)) {
		m.Role = from.Role
	}
	is(m.Muted.merge(from.Muted))
	is(m.Notify.merge(from.Notify))
	is(m.Favorite.merge(from.Favorite))
	is(later(&m.Joined, from.Joined))
	is(later(&m.Removed, from.Removed))
	if is(later(&m.Ended, from.Ended)) {
		m.Joins = slices.DeleteFunc(slices.Clone(m.Joins), func(s chat.Sequence) bool { return s <= m.Ended })
	}
	for _, s := range from.Joins {
		if i, found := slices.BinarySearch(m.Joins, s); !found && s > m.Ended {
			m.Joins = slices.Insert(slices.Clip(m.Joins), i, s)
			changed = true
		}
	}
	if is(later(&m.Invited, from.Invited)) {
		m.InvitedBy, m.InvitedAt = from.InvitedBy, from.InvitedAt
	}
	is(later(&m.Declined, from.Declined))
	return changed
}

// Active reports whether the user is in the room.
func (m *Member) Active() bool { return len(m.Joins) > 0 }

// Known reports whether the user is or was in the room: an invitation alone is
// nothing that the room knows of.
func (m *Member) Known() bool { return m.Sequence != 0 }

// Owns reports whether the user is in the room as an owner.
func (m *Member) Owns() bool { return m.Active() && m.Role == chat.Owner }

// Pending reports whether an invitation waits for the user's consent.
func (m *Member) Pending() bool {
	return !m.Active() && m.Invited > max(m.Declined, m.Joined, m.Ended)
}

// View is the membership as functions see it, with the highest read mark of all
// stays. No mark is above the sequence of its event (see [Mark]), so one of an
// earlier stay is below the beginning of this one.
func (m *Member) View(room chat.RoomID, user chat.UserID, mark chat.Sequence) chat.Membership {
	v := chat.Membership{
		Room: room, User: user, Nickname: m.Nickname, Role: m.Role, Sequence: m.Sequence,
		Active: m.Active(), Removed: !m.Active() && m.Removed > m.Joined, MutedUntil: m.Muted.Is,
		Notify: m.Notify.Is, Favorite: m.Favorite.Is,
	}
	if v.Active {
		v.Since = m.Joins[0]
		if mark >= v.Since {
			v.Read = mark
		}
	}
	if m.Pending() {
		v.InvitedBy, v.InvitedAt = m.InvitedBy, m.InvitedAt
	}
	return v
}

// Stay is what versions before this one knew of a member's stays: whether the last
// event let the user in, and its sequence.
func Stay(active, removed bool, at chat.Sequence) *Member {
	switch {
	case active:
		return &Member{Joins: []chat.Sequence{at}, Joined: at}
	case removed:
		return &Member{Ended: at, Removed: at}
	default:
		return &Member{Ended: at}
	}
}
