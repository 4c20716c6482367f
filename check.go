package chat

// CheckSent checks a room event that a client sends and puts its data into the
// canonical form: members that the protocol does not know are dropped, so that
// no two readers of the same JSON can see different things in it. Source, time,
// stream and sequence are the connector's to set and not looked at.
//
// Errors: Invalid for an id, room, type or data against the protocol, Forbidden
// for a type that clients may not send.
func CheckSent(e *Event) error {
	if err := checkID(e.ID); err != nil {
		return err
	}
	if _, stream := e.Room.Stream(); stream || !e.Room.Valid() {
		return Errorf(Invalid, "subject must be a room's id")
	}
	if err := checkExtensions(e); err != nil {
		return err
	}
	var data any
	var err error
	switch e.Type {
	case MessagePosted:
		if text, ok := onlyText(e.Data); ok {
			return checkText(text)
		}
		data, err = postedOf(e)
	case ReadAdvanced:
		data, err = readOf(e)
	case MemberJoined, MemberLeft, MemberRemoved, MemberUpdated, RoomCreated, RoomUpdated:
		return Errorf(Forbidden, "%s is sent by the rooms function; use the HTTP interface", e.Type.Short())
	case RouteOpened, RouteClosed, SessionRevoked, MemberInvited, MemberDeclined:
		return Errorf(Forbidden, "clients may not send %s", e.Type.Short())
	default:
		return Errorf(Invalid, "unknown event type")
	}
	if err != nil {
		return err
	}
	canonical, err := marshal(data)
	if err != nil {
		return Errorf(Invalid, "data: %w", err)
	}
	e.Data = canonical
	return nil
}

// CheckLogged checks that a logged event has the data that its type is to have, so
// that nothing that follows the log can stumble over what another program wrote
// there. Events of types that are not known here may have any. A read mark beyond
// its own event is cut to it: what comes after cannot have been read. The data must
// be JSON already, as all decoders see to.
//
// Errors: Invalid.
func CheckLogged(e *Event) (err error) {
	switch e.Type {
	case MessagePosted:
		if text, ok := quotedText(e.Data); ok { // decoders have looked at the characters
			return checkText(text)
		}
		_, err = postedOf(e)
	case ReadAdvanced:
		var d ReadData
		if d, err = readOf(e); err == nil && e.Sequence > 0 && d.UpTo > e.Sequence {
			e.Data, err = marshal(ReadData{UpTo: e.Sequence})
		}
	case MemberJoined, MemberLeft, MemberRemoved, MemberUpdated:
		var d MemberData
		if err = e.Decode(&d); err == nil && !d.User.Valid() {
			err = Errorf(Invalid, "user must be a user's id")
		}
	case RoomCreated, RoomUpdated:
		err = e.Decode(new(RoomData))
	case RouteOpened, RouteClosed:
		err = e.Decode(new(RouteData))
	case SessionRevoked:
		err = e.Decode(new(RevokedData))
	}
	return err
}

func postedOf(e *Event) (d Posted, err error) {
	if err := e.Decode(&d); err != nil {
		return d, err
	}
	if err := checkText(d.Text); err != nil {
		return d, err
	}
	if d.ReplyTo < 0 {
		return d, Errorf(Invalid, "replyTo must be a sequence")
	}
	for _, u := range d.Mentions {
		if !u.Valid() {
			return d, Errorf(Invalid, "mentions must be users' ids")
		}
	}
	if len(d.Attachments) > 0 && d.Attachments[0] != '[' {
		return d, Errorf(Invalid, "attachments must be an array")
	}
	return d, nil
}

func readOf(e *Event) (d ReadData, err error) {
	if err := e.Decode(&d); err != nil {
		return d, err
	}
	if d.UpTo <= 0 {
		return d, Errorf(Invalid, "upTo must be a sequence")
	}
	return d, nil
}
