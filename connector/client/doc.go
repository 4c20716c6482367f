// Package client is a client for Knatter servers, for people's clients and for
// programs. It uses HTTP for accounts, rooms, history and search, and WebSocket for the
// chat itself.
//
// [New] names the server, [Client.LogIn] opens a [Session], and [Session.Connect] opens
// a [Conn]. A Conn keeps itself alive: it reconnects with back-off, opens its session
// again, resumes every room where it stopped, and sends again what was not
// acknowledged. It promises:
//
//   - [Conn.Events] has every event of a subscribed room once, in the room's
//     order, without a gap, over any number of reconnects.
//   - [Conn.Send] returns a sequence once the message is durably in the log. It
//     repeats a message under one id, so that history has it once.
//   - Memory is bounded. A slow reader of Events neither delays acks nor loses
//     anything: what does not fit into the buffer is dropped, and read again from
//     history when there is room.
//
// Errors from the server are of type [chat.Error], with the kind for the status; use
// [chat.KindOf].
package client
