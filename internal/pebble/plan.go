package pebble

// plan is a query as two trees: one for the messages' own postings, one for those of
// edits, nil if none of the rooms has any.
type plan struct{ own, edits matcher }

// plan makes the query trees: every word, any of its alternatives, all of the
// alternative's terms, and any of the senders.
func (s *search) plan() (p plan, err error) {
	if p.own, err = s.tree(false); err == nil && len(s.edited) > 0 {
		p.edits, err = s.tree(true)
	}
	return p, err
}

func (s *search) tree(edits bool) (matcher, error) {
	var root all
	var senders anyOf
	for _, user := range s.q.From {
		t, err := s.term(kindSender, string(user), edits)
		if err != nil {
			return nil, err
		}
		senders = append(senders, t)
	}
	switch {
	case len(senders) > 0:
		root = append(root, senders.simple())
	case edits: // or what all messages have would do
		t, err := s.term(kindPosting, editedMark, edits)
		if err != nil {
			return nil, err
		}
		root = append(root, t)
	}
	for _, w := range s.q.Words {
		var alternatives anyOf
		for _, terms := range w.Any {
			var alternative all
			for _, text := range terms {
				t, err := s.term(kindPosting, text, edits && !lasting(text))
				if err != nil {
					return nil, err
				}
				alternative = append(alternative, t)
			}
			alternatives = append(alternatives, alternative.simple())
		}
		root = append(root, alternatives.simple())
	}
	return root.simple(), nil
}

// term is a term, or a sender, of messages or of edits.
func (s *search) term(kind byte, text string, edits bool) (*term, error) {
	t := &term{s: s, kind: kind, text: text, edits: edits, needle: newNeedle(kind, text)}
	for _, kind := range kindsOf(kind, edits) {
		it, err := s.iterator(nil) // the lowest level's filters for postings are too large to be cached
		if err != nil {
			return nil, err
		}
		t.rows = append(t.rows, rows{it: it, kind: kind})
	}
	s.terms = append(s.terms, t)
	return t, nil
}

// kindsOf are the kinds of rows in which postings of a kind are.
func kindsOf(kind byte, edits bool) []byte {
	switch {
	case edits && kind == kindSender:
		return []byte{kindEditedSender}
	case edits:
		return []byte{kindEditedPosting}
	case kind == kindSender:
		return []byte{kindSender, kindLateSender}
	}
	return []byte{kindPosting, kindLatePosting}
}
