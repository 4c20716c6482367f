package program

// Serving is [Serve] of what is no function of a table.
var Serving = serving
