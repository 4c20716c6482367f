package serve

import (
	"bytes"
	"net/http"
	"strconv"
)

// Local is a RoundTripper that calls a handler in this process, without a network.
type Local struct{ Handler http.Handler }

var _ http.RoundTripper = Local{}

// RoundTrip implements http.RoundTripper.
func (l Local) RoundTrip(r *http.Request) (*http.Response, error) {
	r = believe(r)
	if r.Body == nil {
		r.Body = http.NoBody
	}
	defer r.Body.Close()
	w := &answer{header: make(http.Header)}
	Guarded("the function", l.Handler).ServeHTTP(w, r)
	if w.status == 0 {
		w.status = http.StatusOK
	}
	return &http.Response{
		Status:        strconv.Itoa(w.status) + " " + http.StatusText(w.status),
		StatusCode:    w.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        w.header,
		Body:          newLocalBody(w.body.Bytes()),
		ContentLength: int64(w.body.Len()),
		Request:       r,
	}, nil
}

// localBody is the body of an answer, all of which is there.
type localBody struct {
	bytes.Reader
	all []byte
}

func newLocalBody(all []byte) *localBody {
	b := &localBody{all: all}
	b.Reset(all)
	return b
}

// All is the whole body, for who need not have a copy.
func (b *localBody) All() []byte { return b.all }

// Close implements io.Closer.
func (b *localBody) Close() error { return nil }

type answer struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}
