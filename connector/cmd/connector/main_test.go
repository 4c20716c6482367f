package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"knatter.dev/chat/connector"
	"knatter.dev/chat/internal/kafka/kafkatest"
	"knatter.dev/chat/internal/listen/listentest"
	"knatter.dev/chat/internal/program"
	"knatter.dev/chat/internal/setting"
)

func TestOrdinal(t *testing.T) {
	for _, c := range []struct {
		set, host, partitions string
		want                  int
		err                   string
	}{
		{set: "3", host: "connector-1", want: 3},
		{host: "connector-0", want: 0},
		{host: "chat-connector-12.connectors.chat.svc", want: 12},
		{host: "connector-2", partitions: "3", want: 2},
		{host: "connector-3", partitions: "3", err: "KNATTER_ORDINAL is 3, but KNATTER_DELIVERY_PARTITIONS is 3"},
		{set: "3", host: "connector-1", partitions: "2", err: "KNATTER_DELIVERY_PARTITIONS is 2"},
		{host: "laptop", err: "KNATTER_ORDINAL must be set"},
		{host: "7", err: "KNATTER_ORDINAL must be set"},
		{host: "connector-", err: "KNATTER_ORDINAL must be set"},
		{host: "connector-5f9c", err: "KNATTER_ORDINAL must be set"},
		{host: "connector--1", want: 1},
		{host: "connector-+1", err: "KNATTER_ORDINAL must be set"},
		{host: "", err: "no name"},
	} {
		cfg := newConfig()
		cfg.hostname = func() (string, error) {
			if c.host == "" {
				return "", errors.New("no name")
			}
			return c.host, nil
		}
		read(t, cfg, setting.Env{"KNATTER_ORDINAL": c.set, "KNATTER_DELIVERY_PARTITIONS": c.partitions})
		err := cfg.place()
		got := cfg.connector.Ordinal
		if err != nil {
			got = c.want
		}
		if got != c.want || (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: %d, %v", c, got, err)
		}
	}
}

// connectorProgram is the program as main has it.
func connectorProgram() program.Program { return newConfig().program() }

// read sets what env has, and what is required.
func read(t *testing.T, c *config, env setting.Env) {
	t.Helper()
	all := c.settings()
	for _, s := range all {
		if s.Required {
			env[s.Env()] = "http://127.0.0.1:1"
		}
	}
	if err := setting.Read(env, all...); err != nil {
		t.Fatal(err)
	}
}

func TestConnector(t *testing.T) {
	c := kafkatest.Start(t)
	var got *http.Request
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r
		w.WriteHeader(http.StatusTeapot)
	}))
	defer function.Close()
	address, admin := listentest.Address(t), listentest.Address(t)
	environ := []string{
		"KNATTER_BROKERS=" + strings.Join(c.Brokers, ","), "KNATTER_STORE=memory:", "KNATTER_JWKS=" + function.URL + "/keys",
		"KNATTER_FUNCTION_ACCOUNTS=" + function.URL, "KNATTER_FUNCTION_ROOMS=" + function.URL,
		"KNATTER_FUNCTION_HISTORY=" + function.URL, "KNATTER_FUNCTION_SEARCH=" + function.URL + "/base",
		"KNATTER_LISTEN=" + address, "KNATTER_ADMIN=" + admin, "KNATTER_ORDINAL=3", "KNATTER_HEARTBEAT=9s",
	}
	if code, complaint := execute(t, append(environ, "KNATTER_ORDINAL=4")); code != 2 || !strings.Contains(complaint, "KNATTER_ORDINAL is 4, but chat.deliveries has 4 partitions") {
		t.Errorf("an ordinal without a partition: %d, %s", code, complaint)
	}
	if code, complaint := execute(t, append(environ, "KNATTER_STORE=nonsense")); code != 2 || !strings.Contains(complaint, "KNATTER_STORE: ") {
		t.Errorf("a store that is none: %d, %s", code, complaint)
	}
	if code, complaint := execute(t, append(environ, "KNATTER_FUNCTION_ROOMS=")); code != 2 || !strings.Contains(complaint, "KNATTER_FUNCTION_ROOMS or --function-rooms must be set") {
		t.Errorf("without a function: %d, %s", code, complaint)
	}

	ctx, stop := context.WithCancel(t.Context())
	code := make(chan int, 1)
	var log bytes.Buffer // to be read at the end
	go func() { code <- connectorProgram().Execute(ctx, nil, environ, io.Discard, &log) }()
	get := func(url string, header ...string) (int, string) {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			r.Header.Set(header[i], header[i+1])
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			return 0, ""
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return 0, ""
		}
		return resp.StatusCode, string(b)
	}
	for {
		if status, _ := get("http://" + admin + "/readyz"); status == http.StatusOK {
			break
		}
		select {
		case code := <-code:
			t.Fatalf("ended: %d, %s", code, &log)
		case <-time.After(time.Millisecond):
		}
	}
	for path, want := range map[string]string{
		"http://" + address + "/readyz":       "ready",
		"http://" + address + "/":             "<!doctype html>",
		"http://" + address + "/openapi.yaml": "openapi: 3.1",
		"http://" + admin + "/metrics":        "knatter_connector_sockets 0",
		"http://" + admin + "/healthz":        "ok",
	} {
		if status, body := get(path); status != http.StatusOK || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %.80s", path, status, body)
		}
	}
	status, _ := get("http://"+address+"/v1/search?q=x", "X-Forwarded-For", "192.0.2.1")
	if status != http.StatusTeapot || got.URL.String() != "/base/v1/search?q=x" || got.Header.Get("X-Forwarded-For") != "127.0.0.1" {
		t.Errorf("search got %v, %v, and we %d", got.URL, got.Header, status)
	}
	stop()
	if code := <-code; code != 0 {
		t.Errorf("exit code %d, %s", code, &log)
	}
}

func TestLists(t *testing.T) {
	cfg := newConfig()
	read(t, cfg, setting.Env{"KNATTER_TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1", "KNATTER_ORIGINS": "https://a, https://b"})
	if len(cfg.connector.TrustedProxies) != 2 || len(cfg.connector.Origins) != 2 {
		t.Errorf("%+v", cfg.connector)
	}
	for _, s := range []string{"10.0.0.0/33", "everybody", "10.0.0.0/8,"} {
		if err := setting.Read(setting.Env{"KNATTER_TRUSTED_PROXIES": s}, connector.Settings(new(connector.Config))...); (err == nil) != (s == "10.0.0.0/8,") {
			t.Errorf("%s: %v", s, err)
		}
	}
}

// execute runs a program that is to end by itself.
func execute(t *testing.T, environ []string) (code int, complaint string) {
	t.Helper()
	var b bytes.Buffer
	code = connectorProgram().Execute(t.Context(), nil, environ, io.Discard, &b)
	return code, b.String()
}
