package dispatch_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"knatter.dev/chat"
	"knatter.dev/chat/internal/auth"
	"knatter.dev/chat/internal/dispatch"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/serve"
)

func TestRemoteFunctionGetsTheEvent(t *testing.T) {
	var got []chat.Event
	var headers http.Header
	function := serve.Events(handlerFunc(func(_ context.Context, events []chat.Event) error {
		got = append(got, events...)
		return nil
	}), nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		headers = r.Header
		function.ServeHTTP(w, r)
	}))
	defer server.Close()

	e := message(t, "room", "안녕")
	e.ID, e.Stream, e.Sequence = "7 %é", "@bob", 42
	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	if err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), []chat.Event{*e}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !reflect.DeepEqual(got[0], *e) {
		t.Errorf("got %+v, want %+v", got, *e)
	}
	if headers.Get("Ce-Partitionkey") != "@bob" || headers.Get("Ce-Sequence") != "0000000000000042" || headers.Get("Content-Type") != "application/json" {
		t.Errorf("headers %v", headers)
	}
}

func TestRemoteFunctionGetsBatches(t *testing.T) {
	var got []chat.Event
	var types []string
	function := serve.Events(handlerFunc(func(_ context.Context, events []chat.Event) error {
		got = append(got, events...)
		return nil
	}), nil)
	refuse := false
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		types = append(types, r.Header.Get("Content-Type"))
		if refuse && r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		function.ServeHTTP(w, r)
	}))
	defer server.Close()
	var events []chat.Event
	for i := range 100 { // more than fit into one request
		e := message(t, "room", strings.Repeat("안", 3900)+strconv.Itoa(i))
		e.Stream, e.Sequence = "@bob", chat.Sequence(i+1)
		e.Extensions = map[string]string{"flavour": "sour"}
		events = append(events, *e)
	}
	remote := dispatch.HTTP(server.URL, nil)
	if err := remote.HandleEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, events) {
		t.Errorf("got %d events, or others", len(got))
	}
	const batch = "application/cloudevents-batch+json"
	if len(types) < 2 || len(types) > 4 || slices.Contains(types, "application/json") {
		t.Errorf("requests of %v", types)
	}

	// A function that takes no batches is given none after the first.
	types, got, refuse = nil, nil, true
	err := remote.HandleEvents(t.Context(), events[:2])
	if err == nil || !chat.KindOf(err).Never() {
		t.Errorf("refused by 415: %v", err)
	}
	if err := remote.HandleEvents(t.Context(), events[:2]); err != nil || len(got) != 2 {
		t.Errorf("one by one: %v, %d events", err, len(got))
	}
	if !slices.Equal(types, []string{batch, "application/json", "application/json"}) {
		t.Errorf("requests of %v", types)
	}
}

func TestRemoteAnswersDecideWhetherToRetry(t *testing.T) {
	for status, never := range map[int]bool{
		200: false, 202: false, 400: true, 404: true, 408: false, 418: true, 422: true, 429: false, 301: false, 500: false, 503: false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { w.WriteHeader(status) }))
		err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), []chat.Event{*message(t, "room", "x")})
		server.Close()
		if (err == nil) != (status/100 == 2) {
			t.Errorf("%d: error %v", status, err)
		}
		if err != nil && chat.KindOf(err).Never() != never {
			t.Errorf("%d: never is %v, want %v", status, !never, never)
		}
	}
	err := dispatch.HTTP("http://127.0.0.1:1", nil).HandleEvents(t.Context(), []chat.Event{*message(t, "room", "x")})
	if chat.KindOf(err).Never() || err == nil {
		t.Errorf("nobody listens: %v", err)
	}
}

func TestDeadLetterOfARemoteFunctionHoldsItsAnswer(t *testing.T) {
	c := kafkatest.Start(t)
	if err := kafkatest.Log(t, c).Append(t.Context(), message(t, "room", "x")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}))
	defer server.Close()
	run(t, c, unordered, dispatch.HTTP(server.URL, nil), dispatch.Options{})
	dead := deadLetters(t, c, 1)[0]
	if header(dead, "ce_knativeerrordest") != server.URL || header(dead, "ce_knativeerrorcode") != "418" || header(dead, "ce_knativeerrordata") != "short and stout" {
		t.Errorf("headers %v", dead.Headers)
	}
}

// A function that does not take our secret says nothing about the event, which must
// not go to the dead letters for that; any other 401 does mean "never".
func TestRemoteFunctionKnowsItsCallers(t *testing.T) {
	const secret = "secret-0123456789"
	demanded, err := auth.NewCallers("new-"+secret, secret)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := auth.NewCallers(secret)
	if err != nil {
		t.Fatal(err)
	}
	function := serve.Events(handlerFunc(func(context.Context, []chat.Event) error { return nil }), nil)
	server := httptest.NewServer(serve.Demand(demanded, function))
	defer server.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }))
	defer other.Close()

	e := message(t, "room", "hi")
	e.Sequence = 1
	two := []chat.Event{*e, *e} // a batch
	if err := dispatch.HTTP(server.URL, ours).HandleEvents(t.Context(), []chat.Event{*e}); err != nil {
		t.Error(err)
	}
	if err := dispatch.HTTP(server.URL, ours).HandleEvents(t.Context(), two); err != nil {
		t.Error(err)
	}
	if err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), two); chat.KindOf(err) != chat.Unavailable {
		t.Errorf("without a secret: %v", err)
	}
	if err := dispatch.HTTP(other.URL, ours).HandleEvents(t.Context(), two); chat.KindOf(err) != chat.Invalid {
		t.Errorf("another 401: %v", err)
	}
}

// A function that sends us elsewhere does not get our secret shown there.
func TestRemoteFunctionIsNotFollowed(t *testing.T) {
	asked := false
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked = true }))
	defer elsewhere.Close()
	server := httptest.NewServer(http.RedirectHandler(elsewhere.URL, http.StatusTemporaryRedirect))
	defer server.Close()
	ours, err := auth.NewCallers("secret-0123456789")
	if err != nil {
		t.Fatal(err)
	}
	err = dispatch.HTTP(server.URL, ours).HandleEvents(t.Context(), []chat.Event{*message(t, "room", "hi")})
	if asked || chat.KindOf(err) != chat.Unavailable {
		t.Errorf("asked elsewhere: %v, %v", asked, err)
	}
}

// A 431 is about headers, not about the event: it comes in a body then.
func TestTooMuchHeaderIsNotNever(t *testing.T) {
	var got []chat.Event
	function := serve.Events(handlerFunc(func(_ context.Context, events []chat.Event) error {
		got = append(got, events...)
		return nil
	}), nil)
	server := httptest.NewUnstartedServer(function)
	server.Config.MaxHeaderBytes = 1 << 10
	server.Start()
	defer server.Close()
	e := message(t, "room", "hi")
	e.Stream, e.Sequence = "room", 7
	e.Extensions = map[string]string{"x": strings.Repeat("회", 20<<10)}
	if err := dispatch.HTTP(server.URL, nil).HandleEvents(t.Context(), []chat.Event{*e}); err != nil {
		t.Fatal(err)
	}
	if len(got) != 1 || !reflect.DeepEqual(got[0], *e) {
		t.Errorf("got %d events, or others", len(got))
	}
}

// What a function stores of a batch it notes with where that was in the log: of each
// request its part, nothing before it is handed over, and nothing twice.
func TestOriginOfParts(t *testing.T) {
	var got []chat.Origin
	batches := true
	function := serve.Events(handlerFunc(func(_ context.Context, events []chat.Event) error {
		got = append(got, *events[len(events)-1].Origin)
		return nil
	}), nil)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !batches && r.Header.Get("Content-Type") != "application/json" {
			w.WriteHeader(http.StatusUnsupportedMediaType)
			return
		}
		function.ServeHTTP(w, r)
	}))
	defer server.Close()
	origin := &chat.Origin{Partition: 3, Done: 4, From: 7, To: 20}
	var events []chat.Event
	for i, s := range []chat.Sequence{9, 12, 15} {
		e := message(t, "room", fmt.Sprint(i))
		e.Sequence, e.Origin = s, origin
		events = append(events, *e)
	}
	h := dispatch.HTTP(server.URL, nil)
	if err := h.HandleEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	batches = false
	if err := h.HandleEvents(t.Context(), events); err == nil {
		t.Fatal("a batch was taken")
	}
	if err := h.HandleEvents(t.Context(), events); err != nil {
		t.Fatal(err)
	}
	at := func(from, to chat.Sequence) chat.Origin {
		return chat.Origin{Partition: 3, Done: 4, From: from, To: to}
	}
	if want := []chat.Origin{at(7, 20), at(7, 12), at(12, 15), at(15, 20)}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}
