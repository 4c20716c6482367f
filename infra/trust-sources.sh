#!/bin/sh
# Gives Knative's KafkaSources the secret by which functions know their callers: the
# first of KNATTER_CALLER_SECRET in the Secret "knatter". A source takes it by value
# only, so it is no part of the manifests; "kubectl apply" leaves it as it is.
#
#   trust-sources.sh NAMESPACE
set -eu
umask 077
patch=$(mktemp)
trap 'rm -f "$patch"' EXIT
secret=$(kubectl -n "$1" get secret knatter -o go-template='{{.data.KNATTER_CALLER_SECRET | base64decode}}' | tr ', \t\r' '\n\n\n\n' | grep -m1 .)
printf '{"spec":{"ceOverrides":{"extensions":{"knattersecret":"%s"}}}}' "$secret" >"$patch"
# generated: sources
for source in persist index fanout signals; do
# generated so far
	kubectl -n "$1" patch kafkasource "$source" --type=merge --patch-file="$patch"
done
