package edge

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat"
)

func TestPeer(t *testing.T) {
	networks, err := ParseNetworks([]string{"10.0.0.0/8", " 192.0.2.7", "2001:db8:1::/48"})
	if err != nil {
		t.Fatal(err)
	}
	const proxy, client = "10.0.0.1", "203.0.113.5"
	for name, c := range map[string]struct {
		remote  string
		headers []string
		want    string
		scheme  string
	}{
		"nothing said":                   {proxy, nil, proxy, ""},
		"a stranger's word":              {client, []string{"X-Forwarded-For: 198.51.100.1", "Forwarded: for=198.51.100.1;proto=https"}, client, ""},
		"one":                            {proxy, []string{"X-Forwarded-For: " + client}, client, ""},
		"forged on the left":             {proxy, []string{"X-Forwarded-For: 198.51.100.1, " + client}, client, ""},
		"forged in a line before":        {proxy, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: " + client}, client, ""},
		"two proxies":                    {proxy, []string{"X-Forwarded-For: 198.51.100.1, " + client + ",10.0.0.2"}, client, ""},
		"a proxy by its address":         {"192.0.2.7", []string{"X-Forwarded-For: " + client}, client, ""},
		"its neighbour":                  {"192.0.2.8", []string{"X-Forwarded-For: " + client}, "192.0.2.8", ""},
		"proxies alone":                  {proxy, []string{"X-Forwarded-For: 10.0.0.3, 10.0.0.2"}, "10.0.0.3", ""},
		"with a port":                    {proxy, []string{"X-Forwarded-For: " + client + ":4711"}, client, ""},
		"IPv6":                           {"2001:db8:1::1", []string{"X-Forwarded-For: 2001:db8:2::1"}, "2001:db8:2::1", ""},
		"IPv4 in IPv6":                   {"::ffff:10.0.0.1", []string{"X-Forwarded-For: ::ffff:" + client}, client, ""},
		"nonsense":                       {proxy, []string{"X-Forwarded-For: " + client + ", unknown"}, proxy, ""},
		"nothing after the comma":        {proxy, []string{"X-Forwarded-For: " + client + ","}, proxy, ""},
		"a scheme":                       {proxy, []string{"X-Forwarded-For: " + client, "X-Forwarded-Proto: http, HTTPS"}, client, "https"},
		"Forwarded":                      {proxy, []string{"Forwarded: for=198.51.100.1;proto=http, For=" + client + ";Proto=https;by=10.0.0.1"}, client, "https"},
		"Forwarded, quoted":              {proxy, []string{`Forwarded: for="[2001:db8:2::1]:4711"`}, "2001:db8:2::1", ""},
		"Forwarded, a comma in quotes":   {proxy, []string{`Forwarded: for="a,b", for=` + client}, client, ""},
		"Forwarded, an open quote":       {proxy, []string{`Forwarded: for="a, for=` + client}, proxy, ""},
		"Forwarded, hidden":              {proxy, []string{"Forwarded: for=" + client + ", for=_hidden"}, proxy, ""},
		"Forwarded through two":          {proxy, []string{"Forwarded: for=198.51.100.1, for=" + client + ", for=10.0.0.2"}, client, ""},
		"both, alike":                    {proxy, []string{"X-Forwarded-For: " + client, "Forwarded: for=" + client + ";proto=https"}, client, "https"},
		"Forwarded forged beside":        {proxy, []string{"X-Forwarded-For: " + client, "Forwarded: for=198.51.100.1"}, proxy, ""},
		"X-Forwarded-For forged beside":  {proxy, []string{"X-Forwarded-For: 198.51.100.1", "Forwarded: for=" + client}, proxy, ""},
		"a scheme that nobody vouches":   {client, []string{"X-Forwarded-Proto: https"}, client, ""},
		"a scheme and nobody behind it":  {proxy, []string{"X-Forwarded-Proto: https"}, proxy, ""},
		"a socket that has no address":   {"", []string{"X-Forwarded-For: " + client}, "invalid IP", ""},
		"an empty line":                  {proxy, []string{"X-Forwarded-For:"}, proxy, ""},
		"Forwarded without a for":        {proxy, []string{"Forwarded: proto=https"}, proxy, ""},
		"the proxy's own request inside": {proxy, []string{"X-Forwarded-For: 198.51.100.1, 10.0.0.9, " + client + ", 10.0.0.2"}, client, ""},
	} {
		var h fasthttp.RequestHeader
		for _, line := range c.headers {
			name, value, _ := strings.Cut(line, ":")
			h.Add(name, strings.TrimSpace(value))
		}
		remote, _ := netip.ParseAddr(c.remote)
		if got := trusted(networks).peer(remote, &h); got.addr.String() != c.want || got.scheme != c.scheme {
			t.Errorf("%s: %v by %q, want %s by %q", name, got.addr, got.scheme, c.want, c.scheme)
		}
	}
}

func TestParseNetworks(t *testing.T) {
	for _, bad := range []string{"", "everybody", "10.0.0.0/33", "10.0.0", "10.0.0.1:80"} {
		if _, err := ParseNetworks([]string{bad}); chat.KindOf(err) != chat.Invalid || err == nil {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// Functions get one address, the client's, and nothing else that says where a
// request comes from.
func TestFunctionsGetTheClientsAddress(t *testing.T) {
	var got *http.Request
	functions := map[string]http.RoundTripper{"accounts": roundTripper(func(r *http.Request) (*http.Response, error) {
		got = r
		return answer(200, "{}"), nil
	})}
	const request = "GET /v1/me HTTP/1.1\nHost: h\nX-Forwarded-For: 198.51.100.1, 203.0.113.5\nX-Real-IP: 198.51.100.1\n" +
		"X-Forwarded-Host: evil.example\nX-Forwarded-Proto: https\nConnection: close, X-Mine\nX-Mine: x\nKeep-Alive: 5\n\n"
	for proxy, want := range map[string]string{"": "127.0.0.1", "127.0.0.1": "203.0.113.5", "127.0.0.0/8": "203.0.113.5"} {
		var networks []netip.Prefix
		if proxy != "" {
			var err error
			if networks, err = ParseNetworks([]string{proxy}); err != nil {
				t.Fatal(err)
			}
		}
		newFront(t, Config{TrustedProxies: networks}, functions).raw(request)
		if f := got.Header.Values("X-Forwarded-For"); len(f) != 1 || f[0] != want {
			t.Errorf("trusting %q: %v", proxy, got.Header)
		}
		for _, name := range []string{"X-Real-Ip", "X-Forwarded-Host", "X-Forwarded-Proto", "Forwarded", "X-Mine", "Keep-Alive", "Connection", "Host"} {
			if got.Header.Get(name) != "" {
				t.Errorf("trusting %q: %s is passed on", proxy, name)
			}
		}
	}
}
