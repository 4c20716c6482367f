package search

import (
	"slices"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/analysis"
	"knatter.dev/chat/internal/facts"
	"knatter.dev/chat/internal/view"
)

// sought is what a message must have: the text, and one fact of each list.
type sought struct {
	caller chat.UserID
	tails  chat.Tails // read before the stores
	text   string
	query  *analysis.Query // of the text
	facts  [][]string
}

func newSought(p *request, caller chat.UserID) sought {
	s := sought{caller: caller, text: p.text, query: analysis.Parse(p.text)}
	for _, kind := range p.has {
		s.facts = append(s.facts, []string{facts.Kinds[kind]})
	}
	if p.mentioned {
		s.facts = append(s.facts, []string{facts.Mention(caller), facts.Mention(chat.Everyone)})
	}
	return s
}

// words are what the index is asked for.
func (s *sought) words() []chat.Word {
	words := s.query.Words()
	for _, any := range s.facts {
		var w chat.Word
		for _, fact := range any {
			w.Any = append(w.Any, []string{fact})
		}
		words = append(words, w)
	}
	return words
}

// can reports whether anything can be found: text that has nothing searchable is nowhere.
func (s *sought) can(q chat.Query) bool {
	return len(q.Rooms) > 0 && len(q.Words)+len(q.From) > 0 && (s.text == "" || len(s.query.Words()) > 0)
}

// match returns what to highlight in a message, and whether it is one that is sought, as
// it is now.
func (s *sought) match(m *view.Message) ([][2]int, bool) {
	if len(s.facts) > 0 {
		has := append(facts.OfText(m.Text, m.Mentions), facts.OfAttachments(m.Attachments)...)
		for _, any := range s.facts {
			if !slices.ContainsFunc(any, func(fact string) bool { return slices.Contains(has, fact) }) {
				return nil, false
			}
		}
	}
	if s.text == "" {
		return [][2]int{}, true
	}
	return s.query.Match(m.Text)
}
