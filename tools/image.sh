#!/usr/bin/env bash
# Makes the container image that tests use for workspaces, without a registry:
# nothing but the coder binary, with "coder agent" as entry point.
#
#   tools/image.sh TAG [BINARY]
#
# BINARY must be static (CGO_ENABLED=0) and for the engine's platform; without
# it, one is built.
set -euo pipefail

tag=${1:?usage: tools/image.sh TAG [BINARY]}
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT

if [[ -n ${2-} ]]; then
  cp "$2" "$root/coder"
else
  (cd "$(dirname "${BASH_SOURCE[0]}")/.." && CGO_ENABLED=0 GOOS=linux go build -trimpath -ldflags '-s -w' -o "$root/coder" .)
fi
chmod 0755 "$root/coder"
mkdir -m 1777 "$root/tmp"
mkdir -p "$root/home/coder"

tar -C "$root" -c . | docker import \
  --change 'ENTRYPOINT ["/coder", "agent"]' \
  --change 'ENV PATH=/ HOME=/home/coder' \
  --change 'WORKDIR /home/coder' \
  --message 'coder test workspace' \
  - "$tag"
