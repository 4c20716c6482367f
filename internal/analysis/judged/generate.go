package main

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// generate writes the judged set. No analysis of words is asked: what is a noun, for
// instance, shows by the particles that follow it in the text.
func generate(dir, file string) error {
	text, err := lines(file)
	if err != nil {
		return err
	}
	chat, err := lines(filepath.Join(dir, "chat.txt"))
	if err != nil {
		return err
	}
	s := &set{rnd: rand.New(rand.NewPCG(1, 2)), nouns: make(map[string]bool)}
	article := regexp.MustCompile(`^(제\d+조(의\d+)?\s*)?[①-⑳]?\s*`)
	for _, line := range text {
		line = strings.TrimSpace(article.ReplaceAllString(strings.TrimSpace(line), ""))
		if strings.HasSuffix(line, ".") && len([]rune(line)) > 12 {
			s.law = append(s.law, len(s.messages))
			s.messages = append(s.messages, line)
		}
	}
	var forms []string // of each message: what else must find it, as chat.txt says
	forms = make([]string, len(s.messages))
	for _, line := range chat {
		message, more, _ := strings.Cut(line, "\t")
		s.chat = append(s.chat, len(s.messages))
		s.messages, forms = append(s.messages, message), append(forms, more)
	}
	s.findNouns()
	s.inflections(forms)
	s.compounds()
	s.pairs()
	s.withParticles()
	s.spacing()
	s.leads(2)
	s.leads(3)
	s.phrases()
	s.spelled(forms)
	s.laughs()
	var b strings.Builder
	for _, it := range s.items {
		sign := "-"
		if it.must {
			sign = "+"
		}
		fmt.Fprintf(&b, "%s\t%s\t%d\t%s\n", it.kind, sign, it.message, it.query)
	}
	if err := os.WriteFile(filepath.Join(dir, "queries.tsv"), []byte(b.String()), 0o666); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "messages.txt"), []byte(strings.Join(s.messages, "\n")+"\n"), 0o666)
}

type set struct {
	rnd       *rand.Rand
	messages  []string
	law, chat []int // messages
	nouns     map[string]bool
	items     []item
}

// perKind is how many queries of a kind must find, and how many must not, at most.
const perKind = 150

// add adds candidates of a kind, as many as there are to be.
func (s *set) add(kind string, must bool, candidates []item) {
	s.rnd.Shuffle(len(candidates), func(i, k int) { candidates[i], candidates[k] = candidates[k], candidates[i] })
	seen := make(map[item]bool)
	n := 0
	for _, it := range candidates {
		it.kind, it.must = kind, must
		if n == perKind || seen[it] {
			continue
		}
		seen[it] = true
		n++
		s.items = append(s.items, it)
	}
}

// words are those of Hangul alone.
func words(text string) (all []string) {
	for w := range strings.FieldsSeq(text) {
		w = strings.TrimFunc(w, unicode.IsPunct)
		if w != "" && !strings.ContainsFunc(w, func(r rune) bool { return r < '가' || r > '힣' }) {
			all = append(all, w)
		}
	}
	return all
}

var particles = strings.Fields("으로 에서 은 는 이 가 을 를 의 에 로 와 과 도")

// bare is a word without its particle, and that.
func bare(w string) (noun, particle string) {
	for _, p := range particles {
		if n, ok := strings.CutSuffix(w, p); ok && len([]rune(n)) >= 2 {
			return n, p
		}
	}
	return w, ""
}

// findNouns takes for nouns what is followed by two different particles.
func (s *set) findNouns() {
	with := make(map[string]map[string]bool)
	for _, m := range s.messages {
		for _, w := range words(m) {
			if n, p := bare(w); p != "" {
				if with[n] == nil {
					with[n] = make(map[string]bool)
				}
				with[n][p] = true
			}
		}
	}
	for n, ps := range with {
		s.nouns[n] = len(ps) >= 2
	}
	maps.DeleteFunc(s.nouns, func(_ string, ok bool) bool { return !ok })
}

// other is any message but this one.
func (s *set) other(m int) int {
	for {
		if o := s.rnd.IntN(len(s.messages)); o != m {
			return o
		}
	}
}

// inflections are the verbs of 하다 in other forms, and those that chat.txt names.
func (s *set) inflections(forms []string) {
	var must, not []item
	verb := regexp.MustCompile(`^([가-힣]{2,4})(한다|하여|하고|하며|하는|하지)$`)
	ends := strings.Fields("했습니다 하다 해요 하면 합니다")
	for _, m := range s.law {
		for _, w := range words(s.messages[m]) {
			if f := verb.FindStringSubmatch(w); f != nil {
				must = append(must, item{message: m, query: f[1] + ends[s.rnd.IntN(len(ends))]})
			}
		}
	}
	s.rnd.Shuffle(len(must), func(i, k int) { must[i], must[k] = must[k], must[i] })
	must = must[:min(len(must), perKind/2)]
	for m, list := range forms {
		for f := range strings.FieldsSeq(list) {
			if strings.HasPrefix(f, "=") {
				continue
			}
			if len(must) < perKind {
				must = append(must, item{message: m, query: f})
			}
			if o := s.other(m); !strings.Contains(s.messages[o], string([]rune(f)[:1])) {
				not = append(not, item{message: o, query: f})
			}
		}
	}
	s.add("inflection", true, must)
	s.add("inflection", false, not)
}

// compounds are nouns of four syllables that are two nouns.
func (s *set) compounds() {
	var must, not []item
	for m, text := range s.messages {
		for _, w := range words(text) {
			n, _ := bare(w)
			if r := []rune(n); len(r) == 4 && s.nouns[string(r[:2])] && s.nouns[string(r[2:])] {
				first, second := string(r[:2]), string(r[2:])
				must = append(must, item{message: m, query: first}, item{message: m, query: second})
				if !strings.Contains(strings.ReplaceAll(text, " ", ""), second+first) {
					not = append(not, item{message: m, query: second + first})
				}
			}
		}
	}
	s.add("part of a compound", true, must)
	s.add("part of a compound", false, not)
}

// pairs are any two syllables of a word.
func (s *set) pairs() {
	var must, not []item
	for m, text := range s.messages {
		for _, w := range words(text) {
			r := []rune(w)
			if len(r) < 2 {
				continue
			}
			i := s.rnd.IntN(len(r) - 1)
			pair := string(r[i : i+2])
			must = append(must, item{message: m, query: pair})
			if o := s.other(m); !strings.ContainsAny(s.messages[o], pair) {
				not = append(not, item{message: o, query: pair})
			}
		}
	}
	s.add("two syllables", true, must)
	s.add("two syllables", false, not)
}

// withParticles are nouns with another particle than in the text.
func (s *set) withParticles() {
	var must, not []item
	closed, open := strings.Fields("은 이 을 과 으로 에서 도"), strings.Fields("는 가 를 와 로 에서 도")
	for m, text := range s.messages {
		for _, w := range words(text) {
			n, p := bare(w)
			if p == "" || !s.nouns[n] {
				continue
			}
			r := []rune(n)
			list := open
			if (r[len(r)-1]-'가')%28 > 0 {
				list = closed
			}
			q := list[s.rnd.IntN(len(list))]
			if q != p {
				must = append(must, item{message: m, query: n + q})
			}
			if o := s.other(m); !strings.Contains(s.messages[o], n) {
				not = append(not, item{message: o, query: n + q})
			}
		}
	}
	s.add("particles", true, must)
	s.add("particles", false, not)
}

// spacing writes together what the text writes apart, and the other way round.
func (s *set) spacing() {
	var must, not []item
	for m, text := range s.messages {
		all := words(text)
		for i, w := range all {
			n, p := bare(w)
			if r := []rune(n); len(r) == 4 && s.nouns[string(r[:2])] && s.nouns[string(r[2:])] {
				must = append(must, item{message: m, query: string(r[:2]) + " " + string(r[2:])})
			}
			if i+1 < len(all) && p == "" && s.nouns[n] && strings.Contains(text, w+" "+all[i+1]) {
				next, _ := bare(all[i+1])
				must = append(must, item{message: m, query: n + next})
				if !strings.Contains(strings.ReplaceAll(text, " ", ""), next+n) {
					not = append(not, item{message: m, query: next + n})
				}
			}
		}
	}
	s.add("spacing", true, must)
	s.add("spacing", false, not)
}

var consonants = []rune("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ")

// leadsOf are the consonants that begin the syllables; other characters stay.
func leadsOf(text string) string {
	return strings.Map(func(r rune) rune {
		if r < '가' || r > '힣' {
			return r
		}
		return consonants[(r-'가')/588]
	}, text)
}

// leads are the first consonants of nouns.
func (s *set) leads(n int) {
	var must, not []item
	for m, text := range s.messages {
		for _, w := range words(text) {
			noun, p := bare(w)
			r := []rune(noun)
			if len(r) < n || p == "" || n == 2 && len(r) > 2 {
				continue
			}
			query := leadsOf(string(r[:n]))
			must = append(must, item{message: m, query: query})
			if o := s.other(m); !strings.Contains(leadsOf(s.messages[o]), query) {
				not = append(not, item{message: o, query: query})
			}
		}
	}
	kind := fmt.Sprintf("choseong of %d", n)
	s.add(kind, true, must)
	s.add(kind, false, not)
}

// phrases are two words that follow each other, in quotes.
func (s *set) phrases() {
	var must, not []item
	for m, text := range s.messages {
		all := words(text)
		for i := range all[:max(len(all)-1, 0)] {
			a, b := all[i], all[i+1]
			if strings.Contains(text, a+" "+b) && len([]rune(a)) > 1 && len([]rune(b)) > 1 {
				must = append(must, item{message: m, query: `"` + a + " " + b + `"`})
				if !strings.Contains(text, b+" "+a) && a != b {
					not = append(not, item{message: m, query: `"` + b + " " + a + `"`})
				}
			}
		}
	}
	s.add("phrase", true, must)
	s.add("phrase", false, not)
}

// spelled is what chat.txt says by =: numbers, accents, mixed Latin.
func (s *set) spelled(forms []string) {
	kindOf := func(text, query string) string {
		latin := func(r rune) bool { return r < unicode.MaxASCII && unicode.IsLetter(r) }
		foreign := func(r rune) bool {
			return r > unicode.MaxASCII && unicode.In(r, unicode.Latin, unicode.Greek, unicode.Cyrillic, unicode.Arabic)
		}
		switch {
		case strings.ContainsFunc(text, foreign):
			return "accents"
		case !strings.ContainsFunc(text, latin) || query == "42195m":
			return "numbers"
		}
		return "mixed Latin"
	}
	must, not := make(map[string][]item), make(map[string][]item)
	for m, list := range forms {
		for f := range strings.FieldsSeq(list) {
			query, ok := strings.CutPrefix(f, "=")
			if !ok {
				continue
			}
			kind := kindOf(s.messages[m], query)
			must[kind] = append(must[kind], item{message: m, query: query})
			if kind == "numbers" {
				r := []rune(query) // another first digit
				r[slices.IndexFunc(r, func(r rune) bool { return r > '0' && r <= '9' })] = '6'
				if changed := string(r); changed != query {
					not[kind] = append(not[kind], item{message: m, query: changed})
				}
				continue
			}
			o := s.chat[s.rnd.IntN(len(s.chat))]
			if !strings.Contains(strings.ToLower(s.messages[o]+forms[o]), strings.ToLower(query)) {
				not[kind] = append(not[kind], item{message: o, query: query})
			}
		}
	}
	for _, kind := range []string{"mixed Latin", "numbers", "accents"} {
		s.add(kind, true, must[kind])
		s.add(kind, false, not[kind])
	}
}

// laughs are letters by themselves; they are not the syllables that they could be.
func (s *set) laughs() {
	var must, not []item
	runs := regexp.MustCompile(`[ㄱ-ㅎㅏ-ㅣ]{2,}`)
	for _, m := range s.chat {
		text := s.messages[m]
		for _, run := range runs.FindAllString(text, -1) {
			r := []rune(run)
			must = append(must, item{message: m, query: run}, item{message: m, query: string(r[:2])}, item{message: m, query: string(r[len(r)-2:])})
			for i := range r[1:] {
				if c := slices.Index(consonants, r[i]); c >= 0 && r[i+1] >= 'ㅏ' {
					not = append(not, item{message: m, query: string('가' + rune(c)*588 + (r[i+1]-'ㅏ')*28)})
				}
			}
		}
		for _, cry := range []string{"ㅠㅠ", "ㅜㅜ", "ㅡㅡ"} {
			if !strings.Contains(text, cry) {
				not = append(not, item{message: m, query: cry})
			}
		}
	}
	s.add("letters of chat", true, must)
	s.add("letters of chat", false, not)
}
