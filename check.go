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
	if !e.Room.Valid() {
		return Errorf(Invalid, "subject must be a room's id")
	}
	if err := checkExtensions(e); err != nil {
		return err
	}
	row := rows[e.Type]
	switch {
	case row == nil:
		return Errorf(Invalid, "unknown event type")
	case row.Sender == ByFunction && !row.Hidden:
		return Errorf(Forbidden, "%s is sent by the rooms function; use the HTTP interface", e.Type.Short())
	case row.Sender != ByClient:
		return Errorf(Forbidden, "clients may not send %s", e.Type.Short())
	}
	if row.data == nil {
		e.Data = nil
		return nil
	}
	if e.Type == MessagePosted {
		if text, ok := onlyText(e.Data); ok {
			return checkText(text)
		}
	}
	d, err := row.read(e)
	if err != nil {
		return err
	}
	canonical, err := Marshal(d)
	if err != nil {
		return Errorf(Invalid, "data: %w", err)
	}
	e.Data = canonical
	return nil
}

// CheckLogged checks that a logged event has the data that its type is to have, so
// that nothing that follows the log can stumble over what another program wrote
// there. Events of types that are not known here may have any. Data that says more
// than the event's place allows is cut to it, such as a read mark beyond its own
// event. The data must be JSON already, as all decoders see to.
//
// Errors: Invalid.
func CheckLogged(e *Event) error {
	row := rows[e.Type]
	if row == nil || row.data == nil {
		return nil
	}
	if e.Type == MessagePosted {
		if text, ok := quotedText(e.Data); ok { // decoders have looked at the characters
			return checkText(text)
		}
	}
	d, err := row.read(e)
	if err != nil {
		return err
	}
	if c, ok := d.(cutting); ok && e.Sequence > 0 && c.cut(e.Sequence) {
		e.Data, err = Marshal(d)
	}
	return err
}

// read returns the event's data. Errors: Invalid.
func (t *EventType) read(e *Event) (data, error) {
	d := t.data()
	if err := e.Decode(d); err != nil {
		return nil, err
	}
	return d, d.check()
}
