package chat_test

import (
	"slices"
	"strings"
	"testing"

	"knatter.dev/chat"
)

func BenchmarkDecodeFrame(b *testing.B) {
	e := posted(b, "회의록을 공유해 주세요")
	e.Extensions = nil
	in := e.AppendFrame(nil)
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		if _, err := chat.DecodeFrame(in); err != nil {
			b.Fatal(err)
		}
	}
}

// What nearly all messages are: nothing but text.
func BenchmarkPlainMessage(b *testing.B) {
	e, err := chat.NewEvent("0198c0de-7000-7000-8000-000000000001", "alice", chat.MessagePosted, "abcd-efgh-jkmn", chat.Posted{Text: "회의록을 공유해 주세요"})
	if err != nil {
		b.Fatal(err)
	}
	frame, headers := e.AppendFrame(nil), e.Headers()
	b.Run("sent", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, err := chat.DecodeSent(frame)
			if err != nil || chat.CheckSent(&e) != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("logged", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			e, err := chat.DecodeRecord(headers, e.Data)
			if err != nil || chat.CheckLogged(&e) != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendFrame(b *testing.B) {
	e := posted(b, "회의록을 공유해 주세요")
	e.Extensions = nil
	buf := e.AppendFrame(nil)
	b.ReportAllocs()
	for b.Loop() {
		buf = e.AppendFrame(buf[:0])
	}
}

func BenchmarkDecodeRecord(b *testing.B) {
	e := posted(b, "회의록을 공유해 주세요")
	e.Extensions = nil
	headers := e.Headers()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := chat.DecodeRecord(headers, e.Data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheckSent(b *testing.B) {
	e := posted(b, "회의록을 공유해 주세요")
	e.Extensions = nil
	b.ReportAllocs()
	for b.Loop() {
		if err := chat.CheckSent(&e); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeaders(b *testing.B) {
	e := posted(b, "hello")
	b.ReportAllocs()
	for b.Loop() {
		if len(e.Headers()) == 0 {
			b.Fatal("no headers")
		}
	}
}

// BenchmarkPage is what a page of large messages costs its readers.
func BenchmarkPage(b *testing.B) {
	for name, text := range map[string]string{"korean": strings.Repeat("회의록을 공유해 주세요 ", 500), "ascii": strings.Repeat("message ", 2000), "emoji": strings.Repeat("🍜", 4000)} {
		e, err := chat.NewEvent("0193a8e0-0000-7000-8000-000000000000", "alice", chat.MessagePosted, "room", chat.Posted{Text: text})
		if err != nil {
			b.Fatal(err)
		}
		e.Sequence = 7
		page := chat.AppendBatch(nil, slices.Repeat([]chat.Event{e}, 64))
		b.Run("decode/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				if _, err := chat.DecodeBatch(page); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("split/"+name, func(b *testing.B) {
			b.SetBytes(int64(len(page)))
			for b.Loop() {
				if _, err := chat.SplitBatch(page); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
