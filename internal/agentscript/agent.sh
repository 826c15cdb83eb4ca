#!/bin/sh
# Fetches the coder binary from the deployment and runs the agent of this
# workspace. Whatever goes wrong before the agent runs is said below and kept
# on the screen: the machine stays up for a day so that it can be looked at.
set -eu

stay() {
	status=$?
	trap - EXIT
	echo "The agent could not be started (status $status). What was fetched is in ${dir:-no directory}." >&2
	echo "This machine stays up for 24 hours so that you can look at it." >&2
	sleep 86400
	exit "$status"
}
trap stay EXIT

fetch() {
	if command -v curl >/dev/null 2>&1; then
		curl -fsSL -o "$2" "$1"
	elif command -v wget >/dev/null 2>&1; then
		wget -q -O "$2" "$1"
	elif command -v busybox >/dev/null 2>&1; then
		busybox wget -q -O "$2" "$1"
	else
		echo "None of curl, wget and busybox is installed: add one of them to the image." >&2
		return 127
	fi
}

dir=$(mktemp -d "${TMPDIR:-/tmp}/coder.XXXXXX")
binary="$dir/coder"
until fetch "${ACCESS_URL}bin/@BINARY@" "$binary"; do
	echo "Fetching ${ACCESS_URL}bin/@BINARY@ did not work; trying again in 30 seconds." >&2
	sleep 30
done
chmod 0755 "$binary"

export CODER_AGENT_AUTH="${AUTH_TYPE}"
export CODER_AGENT_URL="${ACCESS_URL}"
exec "$binary" agent
