// Package chat is Knatter's domain: the events, the rooms and accounts they
// are about, the stores that are projected from them, and the table that says
// which function handles what. It imports the standard library and the
// CloudEvents SDK only; every technology has a package of its own below
// internal/.
//
// Four ideas carry the whole:
//
//   - The log is the truth. An event counts once it is in the log, acknowledged
//     by all in-sync replicas. Stores, indexes and routes are projections.
//   - One event, one format. What a client sends is the CloudEvent that is
//     logged, handled and delivered.
//   - Subscribing is an event in the room's own log, so that the border between
//     history and live delivery is exact.
//   - At least once, applied once. Every handler is idempotent by (room,
//     sequence) and by (room, source, id).
package chat
