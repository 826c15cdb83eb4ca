#!/usr/bin/env bash
# Builds what the tests need and a machine may lack, into one directory:
#
#   tools/build.sh DIR
#
#   DIR/tofu                       OpenTofu
#   DIR/terraform-provider-docker  the docker provider
#   DIR/mirror                     a filesystem mirror that holds it, for both registries
#   DIR/mirror.tfrc                CLI configuration for TF_CLI_CONFIG_FILE: providers come
#                                  from that mirror, and from nowhere else
#
# Sources come through the Go module proxy, pinned and checked by the go.mod
# and go.sum beside each tool. A tool that was built from the same pins is
# left alone. The first time takes minutes.
set -euo pipefail

dir=${1:?usage: tools/build.sh DIR}
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mkdir -p "$dir"
dir=$(cd "$dir" && pwd)

# build NAME PACKAGE LDFLAGS: builds the tool of tools/<module> unless the
# stamp beside the binary says that it is there already.
build() {
  local module=$1 name=$2 package=$3 ldflags=$4 stamp
  stamp=$({ go version; echo "$package $ldflags"; cat "$here/$module/go.mod" "$here/$module/go.sum"; } | sha256sum | cut -d' ' -f1)
  if [[ -x $dir/$name && $(cat "$dir/$name.stamp" 2>/dev/null) == "$stamp" ]]; then
    echo "$name: up to date in $dir"
    return
  fi
  echo "$name: building, this takes minutes"
  (cd "$here/$module" && CGO_ENABLED=0 nice go build -trimpath -ldflags "-s -w $ldflags" -o "$dir/$name.new" "$package")
  mv "$dir/$name.new" "$dir/$name"
  echo "$stamp" >"$dir/$name.stamp"
}

exec 9>"$dir/.lock"
flock 9

build terraform-provider-docker terraform-provider-docker github.com/terraform-providers/terraform-provider-docker ""
build opentofu tofu github.com/opentofu/opentofu/cmd/tofu "-X github.com/opentofu/opentofu/version.dev=no"

# The provider's release that the pinned commit stands for; templates may ask
# for it, and the starter template takes any.
docker_version=4.6.0
platform=$(go env GOOS)_$(go env GOARCH)
for host in registry.terraform.io registry.opentofu.org; do
  place=$dir/mirror/$host/kreuzwerker/docker/$docker_version/$platform
  mkdir -p "$place"
  ln -f "$dir/terraform-provider-docker" "$place/terraform-provider-docker_v$docker_version"
done
cat >"$dir/mirror.tfrc" <<EOF
provider_installation {
  filesystem_mirror {
    path = "$dir/mirror"
  }
}
EOF
