// Package tests has the stories: what people and programs do with Knatter, through
// the public protocol only, against a running server.
//
// Without further settings they build ./local once and start servers of it, on
// free ports and in temporary directories; stories that kill, restart or fill a
// server have one of their own. Settings are environment variables:
//
//   - KNATTER_TEST_URL=http://host:port,… runs the stories against a chat that is
//     there already, with people spread over the connectors that it names. Those
//     that must start, stop or configure a server cannot run then; they are listed
//     at the end.
//   - KNATTER_SLOW=1 runs them at full size (100,000 events in one room), and those
//     that have to wait for the server's own timeouts.
//
// The server is a program of its own, of which the test cache knows nothing: run
// the stories with -count=1.
package tests
