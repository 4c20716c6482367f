package chat_test

import (
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
