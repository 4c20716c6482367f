package guard_test

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/guard"
)

// secret is a runtime error as anybody can make one.
type secret string

func (s secret) Error() string { return string(s) }
func (secret) RuntimeError()   {}

func TestPanicsAreToldByTypeAlone(t *testing.T) {
	const text = "what-somebody-wrote"
	for want, value := range map[string]any{
		"string":              text,
		"*errors.errorString": errors.New(text),
		"guard_test.secret":   secret(text),
		"[]uint8":             []byte(text),
		"map[string]string":   map[string]string{text: text},
	} {
		var log bytes.Buffer
		err := guard.Call(t.Context(), slog.New(slog.NewTextHandler(&log, nil)), "the test", func() error { panic(value) })
		if chat.KindOf(err) != chat.Internal || err.Error() != "the test panicked with a "+want {
			t.Errorf("%s: %v", want, err)
		}
		if strings.Contains(log.String(), text) {
			t.Errorf("%s: the log has the value:\n%s", want, &log)
		}
		if !strings.Contains(log.String(), want) || !strings.Contains(log.String(), "TestPanicsAreToldByTypeAlone") {
			t.Errorf("%s: the log has no type or no stack:\n%s", want, &log)
		}
	}
}

func TestErrorsPass(t *testing.T) {
	want := errors.New("as it is")
	if err := guard.Call(t.Context(), slog.Default(), "the test", func() error { return want }); err != want {
		t.Error(err)
	}
}
