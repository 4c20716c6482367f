package projection

// RandomLog is a life of a room in the log's order.
var RandomLog = randomLog
