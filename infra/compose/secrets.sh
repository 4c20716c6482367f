#!/bin/sh
# Makes the secrets of the compose set, once: none is in the tree, none is the same
# in two places. Each is whole or absent, and readable by the one user who needs it.
#
#   secrets.sh KEYS GRAFANA CALLERS     (directories)
set -eu
umask 077

# keep FILE OWNER COMMAND...: what the command prints becomes the file.
keep() {
	file=$1 owner=$2
	shift 2
	if [ -s "$file" ]; then return; fi
	"$@" >"$file.new"
	chown "$owner" "$file.new"
	sync
	mv "$file.new" "$file"
	echo "made $file"
}

# The key that signs tokens, as the accounts function takes it: Ed25519, PKCS #8, PEM.
keep "$1/keys.pem" 65532:65532 openssl genpkey -algorithm ed25519
keep "$2/password" 472:472 openssl rand -base64 24
# By which functions know the connectors and the dispatcher.
keep "$3/secret" 65532:65532 openssl rand -base64 24
