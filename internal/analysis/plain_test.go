package analysis

import (
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode"
	"unicode/utf8"

	ko "github.com/ikawaha/kagome-dict-ko"
	"github.com/ikawaha/kagome-dict/dict"
	"github.com/ikawaha/kagome/v2/tokenizer"
	"golang.org/x/text/cases"
	"golang.org/x/text/unicode/norm"
)

// plainAnalysis is the analysis in its plainest form: kagome with the dictionary as
// it is published, strings and maps, nothing kept. What the package does in a faster
// way, with the dictionary in another form, is compared with it.
type plainAnalysis struct {
	tokenizer *tokenizer.Tokenizer
	index     dict.IndexTable
	parts     map[int][]plainPart // of the entries that the dictionary splits: those that are content
}

type plainPart struct {
	tag  byte
	word string
}

// plain is made only for the tests that ask for it: it is large.
var plain = sync.OnceValue(func() *plainAnalysis {
	d := ko.Dict()
	p := &plainAnalysis{index: d.Index, parts: make(map[int][]plainPart)}
	for id, columns := range d.Contents {
		if len(columns) <= ko.Expression-ko.POSHierarchy || columns[ko.Type-ko.POSHierarchy] == "*" {
			continue
		}
		parts := []plainPart{}
		for _, part := range strings.Split(columns[ko.Expression-ko.POSHierarchy], "+") {
			fields := strings.Split(part, "/") // for example 만나/VV/*
			if len(fields) < 2 || fields[0] == "" || utf8.RuneCountInString(fields[0]) > maxTerm {
				continue
			}
			if tag, _ := contentOf(fields[1]); tag != 0 {
				parts = append(parts, plainPart{tag, fields[0]})
			}
		}
		p.parts[id] = parts
	}
	d.Contents = nil // most of the dictionary's memory, and not needed any more
	var err error
	if p.tokenizer, err = tokenizer.New(d, tokenizer.OmitBosEos()); err != nil {
		panic(err)
	}
	return p
})

// contentOf tells what kind of term a part of speech of mecab-ko gives: 0 for
// what carries no meaning of its own.
func contentOf(pos string) (tag byte, helper bool) {
	switch pos {
	case "NNG", "NNP", "NP", "NR", "XR", "XPN", "MAG", "NA", "UNA", "UNKNOWN":
		return tagNoun, false
	case "NNB", "NNBC":
		return tagNoun, true
	case "VV", "VA", "VCN":
		return tagVerb, false
	case "VX":
		return tagVerb, true
	}
	return 0, false
}

func (p *plainAnalysis) terms(s string) []string {
	seen := make(map[string]bool)
	var terms []string
	add := func(tag byte, word string) {
		if term := string(rune(tag)) + word; !seen[term] && len(terms) < maxTerms {
			seen[term] = true
			terms = append(terms, term)
		}
	}
	spacedWord := func(word []rune) {
		for n := min(minPrefix, len(word)); n <= min(maxPrefix, len(word)); n++ {
			add(tagPrefix, string(word[:n]))
		}
		if stem := stemOf(word); stem != "" {
			add(tagStem, stem)
		}
	}
	initials := func(word []rune) {
		for n := 2; n <= 3 && n <= len(word); n++ {
			term := ""
			for _, r := range word[:n] {
				if p.class(r) != hangul {
					return
				}
				begins, _ := utf8.DecodeRuneInString(norm.NFD.String(string(r)))
				term += plainLetters[begins]
			}
			add(tagLeads, term)
		}
	}
	t := p.normalise(s)
	for _, r := range p.runs(t) {
		word := t.runes[r.start:r.end]
		if r.class == spaced {
			spacedWord(word)
			continue
		}
		for i := range word {
			add(tagGram, string(word[i]))
			if i > 0 {
				add(tagGram, string(word[i-1:i+1]))
			}
		}
		if r.class == hangul {
			morphemes := p.morphemes(word)
			for _, m := range morphemes {
				add(m.tag, m.word)
				if m.surface != "" {
					add(m.tag, m.surface)
				}
			}
			initials(word)
			for _, m := range morphemes {
				if m.start > 0 && m.tag == tagNoun && !m.helper {
					initials(word[m.start:])
				}
			}
		}
	}
	for _, n := range t.numbers() {
		for _, ending := range n.endings() {
			spacedWord(ending.runes)
		}
	}
	return terms
}

func (p *plainAnalysis) normalise(s string) *text {
	t := &text{source: s}
	var base rune
	for at := 0; at < len(s) && len(t.runes) < maxRunes; {
		rest := s[at:]
		if end := strings.IndexFunc(rest, func(r rune) bool { return isLetter(r) || r == utf8.RuneError }); end > 0 {
			rest = rest[:end]
		}
		form := ""
		r, size := utf8.DecodeRuneInString(rest)
		if r == utf8.RuneError {
			form, base = string(r), 0
		} else if isLetter(r) {
			base = r
			if form = string(r); r <= 'ㅣ' || r == filler || r > 0x318e {
				form = norm.NFKD.String(form)
			}
		} else {
			size = norm.NFKC.NextBoundaryInString(rest, true)
			form = norm.NFC.String(p.withoutMarks(norm.NFKD.String(rest[:size]), &base))
		}
		for _, r := range p.folded(form) {
			t.append(r, p.class(r), at, at+size)
		}
		at += size
	}
	return t
}

// withoutMarks leaves out marks that belong to a letter of the right script.
func (p *plainAnalysis) withoutMarks(s string, base *rune) string {
	var b strings.Builder
	for _, r := range s {
		if !unicode.Is(unicode.Mn, r) {
			*base = r
		}
		cyrillic := unicode.Is(unicode.Cyrillic, *base)
		switch {
		case !unicode.Is(unicode.Mn, r):
		case unicode.In(*base, unicode.Latin, unicode.Greek, unicode.Arabic, unicode.Hebrew),
			cyrillic && (r == 0x300 || r == 0x301), cyrillic && r == 0x308 && unicode.ToLower(*base) == 'е':
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// plainLetters are what stands for parts of syllables: by NFKC, the other way.
var plainLetters = func() map[rune]string {
	letters := make(map[rune]string)
	clusters := map[rune]string{'ㄳ': "ㄱㅅ", 'ㄵ': "ㄴㅈ", 'ㄶ': "ㄴㅎ", 'ㄺ': "ㄹㄱ", 'ㄻ': "ㄹㅁ", 'ㄼ': "ㄹㅂ", 'ㄽ': "ㄹㅅ", 'ㄾ': "ㄹㅌ", 'ㄿ': "ㄹㅍ", 'ㅀ': "ㄹㅎ", 'ㅄ': "ㅂㅅ"}
	for r := 'ㄱ'; r <= 'ㅣ'; r++ {
		form := string(r)
		if pair := clusters[r]; pair != "" {
			form = pair
		}
		part, _ := utf8.DecodeRuneInString(norm.NFKD.String(string(r)))
		letters[part] = form
	}
	// What ends a syllable, where something else begins one.
	for i, r := range []rune("ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ") {
		letters[0x11a8+rune(i)] = string(r)
		if pair := clusters[r]; pair != "" {
			letters[0x11a8+rune(i)] = pair
		}
	}
	return letters
}()

func (p *plainAnalysis) folded(s string) (form []rune) {
	variants := strings.NewReplacer("æ", "ae", "œ", "oe", "þ", "th", "đ", "d", "ð", "d", "ħ", "h", "ı", "i", "ł", "l", "ø", "o", "ŧ", "t",
		"ٱ", "ا", "ى", "ي", "ی", "ي", "ک", "ك", "ة", "ه")
	fold := cases.Fold()
	for _, r := range s {
		switch {
		case r == 'ـ':
		case plainLetters[r] != "":
			form = append(form, []rune(plainLetters[r])...)
		case p.class(r) == spaced:
			form = append(form, []rune(variants.Replace(strings.ToLower(fold.String(string(r)))))...)
		case r < utf8.RuneSelf || !unicode.In(r, unicode.Cf, unicode.Variation_Selector) && !slices.Contains([]rune{0x34f, 0x115f, 0x1160}, r):
			form = append(form, r)
		}
	}
	return form
}

func (p *plainAnalysis) class(r rune) class {
	switch {
	case unicode.IsMark(r):
		return mark
	case '가' <= r && r <= '힣':
		return hangul
	case unicode.Is(unicode.Hangul, r):
		return letters
	case unicode.In(r, unspacedScripts...), r == prolonged, unicode.Is(unicode.So, r) && r != utf8.RuneError:
		return unspaced
	case unicode.IsLetter(r), unicode.IsNumber(r):
		return spaced
	}
	return separator
}

func (p *plainAnalysis) runs(t *text) []run {
	var runs []run
	for i, c := range t.classes {
		if i > 0 && c == t.classes[i-1] && c != separator {
			runs[len(runs)-1].end++
		} else if c != separator {
			runs = append(runs, run{c, i, i + 1})
		}
	}
	return runs
}

func (p *plainAnalysis) morphemes(word []rune) []morpheme {
	var found []morpheme
	for from := 0; from < len(word); from += maxLattice {
		chunk := word[from:min(from+maxLattice, len(word))]
		for _, t := range p.tokenizer.Tokenize(string(chunk)) {
			pos, _ := t.FeatureAt(0)
			m := morpheme{start: from + t.Start, end: from + t.End}
			if parts, split := p.parts[t.ID]; split && t.Class == tokenizer.KNOWN {
				found = append(found, p.contentParts(m, pos, parts, t.Surface)...)
				continue
			}
			first, _, _ := strings.Cut(pos, "+")
			m.tag, m.helper = contentOf(first)
			if t.Start == 0 && (first == "XSV" || first == "XSA") {
				m.tag = tagVerb
			}
			if r, _ := utf8.DecodeRuneInString(t.Surface); m.tag == 0 || m.end-m.start > maxTerm || r < '가' || r > '힣' {
				continue
			}
			m.word = t.Surface
			m.helper = m.helper || m.tag == tagVerb && m.word == "하" && t.Start != 0
			found = append(found, m)
		}
	}
	return found
}

func (p *plainAnalysis) contentParts(m morpheme, pos string, parts []plainPart, surface string) []morpheme {
	rest := surface
	for _, part := range parts {
		rest = strings.TrimPrefix(rest, part.word)
	}
	var found []morpheme
	end := m.end
	for i, part := range parts {
		m.tag, m.word, m.joined = part.tag, part.word, i > 0
		m.helper = strings.HasPrefix(pos, "VX") || strings.HasPrefix(pos, "E")
		if len(parts) == 1 && m.tag == tagVerb && !strings.Contains(pos, "+") {
			m.surface = surface
		}
		if rest == "" {
			m.end = m.start + utf8.RuneCountInString(m.word)
		}
		found = append(found, m)
		if rest == "" {
			m.start, m.end = m.end, end
		}
	}
	return found
}

// checkPlain compares everything that is known of a text.
func checkPlain(t *testing.T, s string) {
	t.Helper()
	got, want := normalise(s), plain().normalise(s)
	switch {
	case !slices.Equal(got.runes, want.runes):
		t.Fatalf("%+q: runes %+q, want %+q", s, string(got.runes), string(want.runes))
	case !slices.Equal(got.classes, want.classes):
		t.Fatalf("%+q: classes %v, want %v", s, got.classes, want.classes)
	case !slices.Equal(got.from, want.from) || !slices.Equal(got.to, want.to):
		t.Fatalf("%+q: from %v to %v, want %v %v", s, got.from, got.to, want.from, want.to)
	}
	for _, r := range plain().runs(want) {
		if r.class != hangul {
			continue
		}
		word := want.runes[r.start:r.end]
		if got, want := morphemes(word), plain().morphemes(word); !slices.Equal(got, want) {
			t.Fatalf("%q: morphemes %+v, want %+v", string(word), got, want)
		}
	}
	terms := plain().terms(s)
	for range 3 { // the first time, when the words are learned, and when they are known
		if got := Terms(s); !slices.Equal(got, terms) {
			t.Fatalf("%q: terms %q, want %q", s, got, terms)
		}
	}
}

func TestPlain(t *testing.T) {
	for _, text := range hostile() {
		checkPlain(t, text)
	}
	for _, text := range seeds {
		checkPlain(t, text)
	}
	n := 6000
	if os.Getenv("KNATTER_SLOW") != "" {
		n = 400_000
	}
	g := generator{rand.New(rand.NewPCG(3, 4))}
	for range n {
		checkPlain(t, g.text())
	}
}

// TestSurfaces: all that the dictionary has, by itself and in sentences.
func TestSurfaces(t *testing.T) {
	surfaces := plain().surfaces(0, nil)
	if len(surfaces) < 700_000 {
		t.Fatalf("%d surfaces", len(surfaces))
	}
	g := generator{rand.New(rand.NewPCG(13, 14))}
	g.Shuffle(len(surfaces), func(i, k int) { surfaces[i], surfaces[k] = surfaces[k], surfaces[i] })
	alone, sentences := surfaces[:4000], 2000
	if os.Getenv("KNATTER_SLOW") != "" {
		alone, sentences = surfaces[:250_000], 100_000
	}
	for _, s := range alone {
		checkPlain(t, s)
	}
	for range sentences {
		var b strings.Builder
		for range 1 + g.IntN(9) {
			s := g.of(surfaces)
			switch g.IntN(8) {
			case 0:
				s += g.inflected()
			case 1:
				s += g.of(surfaces)
			case 2:
				s += g.word()
			case 3:
				s = s[:g.IntN(len(s))] + g.of(strange)
			case 4:
				runes := []rune(s)
				s = string(runes[:g.IntN(len(runes)+1)])
			default:
				s += g.of(particles)
			}
			b.WriteString(s + g.of([]string{" ", " ", " ", "", ", "}))
		}
		checkPlain(t, b.String())
	}
}

// surfaces are those that begin with a text, which ends at a state of the index.
func (p *plainAnalysis) surfaces(state int, text []byte) (list []string) {
	trie := p.index.Da
	for b := range 256 {
		if next := int(trie[state].Base) + b; next < 0 || next >= len(trie) || int(trie[next].Check) != state {
			continue
		} else if b == 0 {
			list = append(list, string(text))
		} else {
			list = append(list, p.surfaces(next, append(text, byte(b)))...)
		}
	}
	return list
}

// TestUsual: whatever stands before or behind them, usual characters stay what
// they are.
func TestUsual(t *testing.T) {
	some := 0
	for r := range rune(0x20000) {
		normal := usual(r)
		if normal < 0 {
			continue
		}
		some++
		props := norm.NFKC.PropertiesString(string(r))
		if !props.BoundaryBefore() {
			t.Errorf("%+q goes together with what is before it", r)
		}
		want := plain().normalise(string(r))
		if !slices.Equal(want.runes, []rune{normal}) {
			t.Errorf("%+q: %+q, want %+q", r, normal, want.runes)
		}
		if c := plain().class(normal); classOf(normal) != c || c == mark {
			t.Errorf("%+q: class %d, want %d", r, classOf(normal), c)
		}
	}
	if some < 128+11172+20000 {
		t.Errorf("%d usual characters", some)
	}
	for r := range unicode.MaxRune {
		if classOf(r) != plain().class(r) {
			t.Errorf("%+q: class %d, want %d", r, classOf(r), plain().class(r))
		}
	}
}

func FuzzPlain(f *testing.F) {
	for _, s := range seeds {
		f.Add(s)
	}
	g := generator{rand.New(rand.NewPCG(5, 6))}
	for range 200 {
		f.Add(g.text())
	}
	f.Fuzz(func(t *testing.T, s string) {
		if len(s) < 1<<16 {
			checkPlain(t, s)
		}
	})
}
