// Package infra tests what is in the folder infra: that compose file, manifests,
// proxy, dashboard and alerts say what the programs that they are about say.
//
// Programs that others make (nginx, promtool) are asked where they are installed.
// What takes building, KNATTER_SLOW=1 has built: our own binaries, to ask them which
// settings they know and to run them as compose does, and the readers of compose
// files and manifests in the module tools.
package infra
