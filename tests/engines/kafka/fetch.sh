#!/usr/bin/env bash
# fetch.sh [-update] fetches Apache Kafka's jars from Maven Central, checks them
# against jars.sha256, and prints the folder that holds them. They are kept for the
# next time in KNATTER_CACHE, or else the user's cache folder.
#
# Maven does the fetching, so that its settings (mirrors, proxies) apply; it is
# needed the first time only. Brokers need Java 17 or newer. On Debian and Ubuntu:
#
#	apt-get install openjdk-17-jre-headless maven
#
# -update writes jars.sha256 anew, after a change of pom.xml.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)

fail() {
	echo "fetch.sh: $*" >&2
	exit 1
}

version=$(sed -n 's|^  <version>\(.*\)</version>|\1|p' "$here/pom.xml")
cache=${KNATTER_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/knatter}
jars=$cache/kafka-$version

java=${JAVA_HOME:+$JAVA_HOME/bin/}java
major=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p') || true
[[ ${major:-0} -ge 17 ]] || fail 'Kafka needs Java 17 or newer: apt-get install openjdk-17-jre-headless, or set JAVA_HOME'

checked() { # the folder has what it should have and nothing else
	(cd "$1" 2>/dev/null && sha256sum --check --strict --quiet "$here/jars.sha256" >&2 &&
		[[ $(ls | wc -l) -eq $(wc -l <"$here/jars.sha256") ]])
}

if [[ ${1:-} != -update ]] && [[ -d $jars ]] && checked "$jars"; then
	echo "$jars"
	exit
fi

command -v mvn >/dev/null || fail 'Maven is needed to fetch Kafka: apt-get install maven'
mkdir -p "$cache"
fetched=$(mktemp -d "$cache/fetching.XXXXXX")
trap 'rm -rf "$fetched"' EXIT
mvn --batch-mode --quiet -Dstyle.color=never --strict-checksums --file "$here/pom.xml" \
	dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$fetched/jars" >&2
if [[ ${1:-} == -update ]]; then
	(cd "$fetched/jars" && sha256sum -- *.jar) >"$here/jars.sha256"
fi
checked "$fetched/jars" || fail 'what was fetched is not what jars.sha256 says'
rm -rf "$jars"
mv -T "$fetched/jars" "$jars" || [[ -d $jars ]] # or somebody else was faster
echo "$jars"
