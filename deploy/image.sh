#!/usr/bin/env bash
# Builds the container image of deploy/Dockerfile.
#
#   deploy/image.sh TAG [BINARY]
#
# BINARY must be static and for Linux; without it, one is built.
set -euo pipefail

tag=${1:?usage: deploy/image.sh TAG [BINARY]}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT

if [[ -n ${2-} ]]; then
  cp "$2" "$context/coder"
else
  (cd "$here/.." && GOOS=linux make build BINARY="$context/coder")
fi
chmod 0755 "$context/coder"

mkdir -p "$context/etc/ssl/certs" "$context/data"
mkdir -m 1777 "$context/tmp"
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do
  [[ -s $bundle ]] && cp -L "$bundle" "$context/etc/ssl/certs/ca-certificates.crt" && break
done
[[ -s $context/etc/ssl/certs/ca-certificates.crt ]] || {
  echo "no certificates of authorities on this machine: install ca-certificates" >&2
  exit 1
}
echo 'coder:x:65532:65532:coder:/data:/sbin/nologin' >"$context/etc/passwd"
echo 'coder:x:65532:' >"$context/etc/group"

docker build --file "$here/Dockerfile" --tag "$tag" "$context"
