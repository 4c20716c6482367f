package rooms

import (
	"cmp"
	"net/http"
	"slices"
	"strings"
	"time"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/members"
	"knatter.dev/chat/internal/names"
	"knatter.dev/chat/internal/serve"
)

// settings are what a request changes of a room. SlowMode is a number, so that one that
// is not whole is against the rules rather than malformed.
type settings struct {
	Name     *string
	Topic    *string
	Joining  *chat.Joining
	Posting  *chat.Posting
	SlowMode *float64
}

// changeRoom changes a room's settings, each on its own: of two changes of one setting
// at the same moment the later in the log counts, and of different ones both do.
func (f *Function) changeRoom(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	if v, err = f.owned(r.Context(), v); err != nil {
		return err
	}
	if v.self.Role != chat.Owner || v.room.Kind == chat.Direct {
		return chat.Errorf(chat.Forbidden, "only an owner may change the room")
	}
	var in settings
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	data, err := in.of(v.room)
	if err != nil {
		return err
	}
	if len(data.Changed) > 0 {
		e, err := chat.NewEvent(names.NewEvent(), v.user, chat.RoomUpdated, v.room.ID, data)
		if err != nil {
			return err
		}
		if err := members.Publish(r.Context(), f.log, f.rooms, e); err != nil {
			return err
		}
	}
	return f.answer(w, r, http.StatusOK, v)
}

// of is what the settings change of a room. Errors: Invalid.
func (s *settings) of(room chat.Room) (chat.RoomData, error) {
	data := chat.RoomData{Name: room.Name}
	if *s == (settings{}) {
		return data, chat.Errorf(chat.Invalid, "name, topic, joining, posting or slowMode must be there")
	}
	change := func(what string, differs bool) bool {
		if differs {
			data.Changed = append(data.Changed, what)
		}
		return differs
	}
	if s.Name != nil {
		name, err := names.Clean("name", *s.Name, maxName)
		if err != nil {
			return data, err
		}
		if change("name", name != room.Name) {
			data.Name = name
		}
	}
	if s.Topic != nil {
		topic, err := cleanTopic(*s.Topic)
		if err != nil {
			return data, err
		}
		if change("topic", topic != room.Topic) {
			data.Topic = &topic
		}
	}
	if s.Joining != nil {
		if err := oneOf("joining", *s.Joining, chat.JoinByCode, chat.JoinByInvitation); err != nil {
			return data, err
		}
		if change("joining", *s.Joining != cmp.Or(room.Joining, chat.JoinByCode)) {
			data.Joining = *s.Joining
		}
	}
	if s.Posting != nil {
		if err := oneOf("posting", *s.Posting, chat.PostEveryone, chat.PostModerators); err != nil {
			return data, err
		}
		if change("posting", *s.Posting != cmp.Or(room.Posting, chat.PostEveryone)) {
			data.Posting = *s.Posting
		}
	}
	if s.SlowMode != nil {
		seconds := int(*s.SlowMode)
		if *s.SlowMode < 0 || *s.SlowMode > chat.MaxSlowMode || float64(seconds) != *s.SlowMode {
			return data, chat.Errorf(chat.Invalid, "slowMode must be a whole number of seconds, from 0 to %d", chat.MaxSlowMode)
		}
		if change("slowMode", time.Duration(seconds)*time.Second != room.SlowMode) {
			data.SlowMode = &seconds
		}
	}
	return data, nil
}

// cleanTopic is a topic as it is stored: empty, or as names are. Errors: Invalid.
func cleanTopic(topic string) (string, error) {
	if strings.TrimSpace(topic) == "" {
		return "", nil
	}
	return names.Clean("topic", topic, chat.MaxTopic)
}

// oneOf refuses a value that is none of those that there are. Errors: Invalid.
func oneOf[T ~string](what string, value T, all ...T) error {
	if !slices.Contains(all, value) {
		return chat.Errorf(chat.Invalid, "%s must be one of %q", what, all)
	}
	return nil
}

// prefer changes the caller's own settings of a room. The caller's other sessions are
// told.
func (f *Function) prefer(w http.ResponseWriter, r *http.Request) error {
	v, err := f.inside(r)
	if err != nil {
		return err
	}
	var in struct {
		Notify   *chat.Notify
		Favorite *bool
	}
	if err := serve.Decode(w, r, &in); err != nil {
		return err
	}
	if in.Notify == nil && in.Favorite == nil {
		return chat.Errorf(chat.Invalid, "notify or favorite must be there")
	}
	data := chat.MemberData{User: v.user, Nickname: v.self.Nickname, Role: v.self.Role}
	if in.Notify != nil {
		if err := oneOf("notify", *in.Notify, chat.NotifyAll, chat.NotifyMentions, chat.NotifyNone); err != nil {
			return err
		}
		if *in.Notify != cmp.Or(v.self.Notify, chat.NotifyAll) {
			data.Notify = *in.Notify
		}
	}
	if in.Favorite != nil && *in.Favorite != v.self.Favorite {
		data.Favorite = in.Favorite
	}
	if data.Notify != "" || data.Favorite != nil {
		e, err := newMemberEvent(v.user, chat.MemberPreferred, v.room.ID, data)
		if err != nil {
			return err
		}
		if err := members.Publish(r.Context(), f.log, f.rooms, e); err != nil {
			return err
		}
	}
	return f.answer(w, r, http.StatusOK, v)
}
