// Package edge is the connector's HTTP side: the server with its limits, the router, the
// proxy in front of the functions, and the files of the web client. It knows nothing of
// sessions and events; whoever uses it adds handlers for the paths of its own.
package edge

import (
	"cmp"
	"context"
	"io/fs"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"github.com/valyala/fasthttp"

	"knatter.dev/chat/internal/listen"
)

const (
	headerBytes   = 24 << 10 // for an event in binary mode with all the extensions that it may have, escaped
	headerTimeout = 10 * time.Second
	writeTimeout  = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// Config configures a server.
type Config struct {
	Origins               []string       // allowed in addition to the page's own; "*" allows all
	TrustedProxies        []netip.Prefix // proxies that are trusted to name their clients
	Connections           int            // maximum; 0 means the limit of open files, less what the process itself needs
	ConnectionsPerAddress int            // maximum of an address other than a trusted proxy's; 0 means three quarters of that
	BodyBytes             int            // maximum size of all requests' bodies together
	BodyTimeout           time.Duration  // maximum time for a request's body to arrive
	FunctionTimeout       time.Duration  // maximum time for a function's answer
}

// Parts are the dependencies of a server.
type Parts struct {
	Functions Functions
	Web       []fs.FS // files to serve
	Logger    *slog.Logger
}

// Server serves HTTP.
type Server struct {
	*Requests
	http   fasthttp.Server
	router *router
	cfg    Config
}

// New returns a server. All requests have the context ctx. Errors: Invalid.
func New(ctx context.Context, cfg Config, parts Parts) (*Server, error) {
	assets, err := loadAssets(parts.Web)
	if err != nil {
		return nil, err
	}
	origins, err := newOrigins(cfg.Origins)
	if err != nil {
		return nil, err
	}
	origins.trusted = cfg.TrustedProxies
	requests := &Requests{trusted: cfg.TrustedProxies, bodies: newBodies(cfg.BodyBytes), timeout: cfg.BodyTimeout}
	s := &Server{Requests: requests, cfg: cfg}
	s.router = &router{
		ctx:     ctx,
		logger:  parts.Logger,
		origins: origins,
		own:     make(map[target]Handler),
		proxy:   &proxy{functions: parts.Functions, requests: requests, timeout: cfg.BodyTimeout + cfg.FunctionTimeout},
		assets:  assets,
	}
	s.http = fasthttp.Server{
		Handler:            s.router.serve,
		Name:               "knatter",
		KeepHijackedConns:  true,
		StreamRequestBody:  true, // bodies are read once their owner and size are known
		MaxRequestBodySize: 1,    // bytes read before that
		HeaderReceived:     requests.bodyConfig,

		DisablePreParseMultipartForm: true,
		ReadBufferSize:               headerBytes,
		ReadTimeout:                  headerTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		CloseOnShutdown:              true,
		NoDefaultServerHeader:        true,
		ErrorHandler:                 s.router.unreadable,
		Logger:                       silent{},
		ConnState:                    noteIdle,
	}
	return s, nil
}

// Handle registers h for the requests of a path by a method, or by any method if method
// is "". It must not be called after Serve.
func (s *Server) Handle(method, path string, h Handler) { s.router.own[target{method, path}] = h }

// CheckOrigin refuses a page of another origin that is not allowed. Errors: Forbidden.
func (s *Server) CheckOrigin(ctx *fasthttp.RequestCtx) error { return s.router.origins.check(ctx) }

// Serve accepts connections from ln until Shutdown.
func (s *Server) Serve(ln net.Listener) error { return s.http.Serve(s.listener(ln)) }

// Shutdown stops Serve, and waits until current requests are answered or ctx ends.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.ShutdownWithContext(ctx) }

// listener limits the connections of ln. Trusted proxies are exempt from the limit per
// address, since they carry everybody's connections.
func (s *Server) listener(ln net.Listener) net.Listener {
	limits := listen.Defaults()
	limits.Total = cmp.Or(s.cfg.Connections, limits.Total)
	limits.PerAddress = cmp.Or(s.cfg.ConnectionsPerAddress, limits.PerAddress)
	limits.Exempt = s.trusted.contain
	return lingering{listen.New(ln, limits)}
}

// noteIdle tells the listener which connections may make room for others: those
// between two requests. See also arrived.
func noteIdle(conn net.Conn, state fasthttp.ConnState) {
	if l, ok := conn.(lingeringConn); ok && state == fasthttp.StateIdle {
		l.SetIdle(true)
	}
}

// arrived tells the listener that a connection has sent a whole request: until
// then it may make room for others, however slowly it sends one.
func arrived(ctx *fasthttp.RequestCtx) {
	if l, ok := ctx.Conn().(lingeringConn); ok {
		l.SetIdle(false)
	}
}

// silent discards what fasthttp would log: addresses, and the content of requests that
// it could not parse.
type silent struct{}

func (silent) Printf(string, ...any) {}
