// Package client talks to a Knatter server as a person or a program does: over
// HTTP for accounts, rooms, history and search, over WebSocket for the chat
// itself.
//
// [New] names the server, [Client.LogIn] makes a [Session], and
// [Session.Connect] a [Conn]. A Conn keeps itself alive: it reconnects with
// back-off, opens its session again, resumes every room where it stopped, and
// sends again what was not acknowledged. What it promises:
//
//   - [Conn.Events] has every event of a subscribed room once, in the room's
//     order, without a gap, over any number of reconnects.
//   - [Conn.Send] returns a sequence once the message is durably in the log. It
//     repeats a message under one id, so that history has it once.
//   - Memory is bounded, and a slow reader of Events neither delays acks nor
//     loses anything: what does not fit into the buffer is dropped and read
//     again from history when there is place.
//
// Errors that the server gives are [chat.Error] with the kind that belongs to
// the status; use [chat.KindOf].
package client
