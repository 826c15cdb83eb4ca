#!/usr/bin/env bash
# Walks through the guide on a throwaway deployment: one organization with its
# own provisioner, template, member and workspace. With a terminal on standard
# input the server stays up afterwards until Ctrl-C; without one it ends.
set -euo pipefail

binary=$(realpath "${1:-./coder}")
home=$(mktemp -d -t coder-demo-XXXXXX)
pids=()
export PATH="$home/bin:$PATH"
mkdir -p "$home/bin" "$home/admin" "$home/dev1"
ln -s "$binary" "$home/bin/coder"
unset CODER_SESSION_TOKEN CODER_ORGANIZATION CODER_PROVISIONERD_TAGS
export CODER_CACHE_DIRECTORY="${CODER_CACHE_DIRECTORY:-$home/cache}"
export CODER_CONFIG_DIR="$home/admin" CODER_NO_OPEN=true

finish() {
  for pid in "${pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$home"
}
trap finish EXIT
trap 'exit 130' INT TERM

# say prints a command as it would be typed, runs it, and stops the walk when it fails.
say() {
  printf '\n$ %s\n' "$*"
  "$@"
}

# background prints a command, starts it, and keeps its output in a file.
background() {
  local log=$1; shift
  printf '\n$ %s &\n' "$*"
  "$@" >"$home/$log" 2>&1 &
  pids+=($!)
}

# await waits until a command succeeds, for a minute at most.
await() {
  local what=$1; shift
  for _ in $(seq 300); do
    if "$@" >/dev/null 2>&1; then return; fi
    sleep 0.2
  done
  echo "Gave up waiting for $what. The logs:"
  tail -n 30 "$home"/*.log
  exit 1
}

answers() { curl -fsS "$1/healthz"; }

password=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
member_password=$(head -c 24 /dev/urandom | base64 | tr -d '+/=')
address=127.0.0.1:3000
if (exec 3<>/dev/tcp/127.0.0.1/3000) 2>/dev/null; then address=127.0.0.1:0; fi

background server.log coder server --http-address "$address" --data-dir "$home/data" --provisioner-daemons 0
await "the server" grep -q 'View the Web UI' "$home/server.log"
url=$(sed -n 's/^View the Web UI: //p' "$home/server.log")

say coder login "$url" --first-user-username admin --first-user-email admin@example.com --first-user-password "$password" --first-user-trial=false
say coder organizations create data-platform
printf '\n$ coder provisioner keys create data-cluster-key --org data-platform\n'
coder provisioner keys create data-cluster-key --org data-platform | tee "$home/key"
key=$(tail -n 1 "$home/key")
printf '\n$ export CODER_URL=%s CODER_PROVISIONER_DAEMON_KEY=%s\n' "$url" "$key"
export CODER_URL="$url"
CODER_PROVISIONER_DAEMON_KEY="$key" background provisioner.log coder provisionerd start --org data-platform
idle() { coder provisioner list --org data-platform | grep -q idle; }
await "the provisioner" idle
say coder provisioner list --org data-platform

say coder users create --username dev1 --email dev1@example.com --password "$member_password" --org coder
say coder organizations members add dev1 --org data-platform

# walk makes a template and takes a member's workspace of it through its life.
walk() {
  local template=$1 workspace=$2
  shift 2
  export CODER_CONFIG_DIR="$home/admin"
  say coder templates init --id "$template" "$home/$template"
  say coder templates push "$template" --org data-platform --directory "$home/$template" --yes || return
  export CODER_CONFIG_DIR="$home/dev1"
  say coder create "$workspace" --template "$template" --org data-platform "$@" --use-parameter-defaults --yes &&
    say coder list &&
    say coder show "$workspace" &&
    say coder stop "$workspace" --yes &&
    say coder start "$workspace" --yes &&
    say coder update "$workspace" &&
    say coder delete "$workspace" --yes
}

printf '\n$ CODER_LOGIN_PASSWORD=… coder login %s --email dev1@example.com\n' "$url"
CODER_CONFIG_DIR="$home/dev1" CODER_LOGIN_PASSWORD="$member_password" coder login "$url" --email dev1@example.com
walk minimal dev1-box

# The same with containers, in an image of our own binary, so that no image
# registry is asked. The docker provider itself comes from Terraform's registry.
if docker version >/dev/null 2>&1; then
  "$(dirname "$0")/../tools/image.sh" coder-demo-workspace "$binary" >/dev/null
  if ! walk docker dev1-container --parameter image=coder-demo-workspace --parameter image_starts_agent=true; then
    printf '\nThe part with Docker did not work; the reason is above. Often the docker provider could not be fetched.\n'
    [ "${CODER_DEMO_DOCKER:-}" != required ] || exit 1
  fi
fi

printf '\nThe walk is over: an organization with a provisioner, a template and a member of its own.\n'
if [ ! -t 0 ]; then
  printf 'Without a terminal nothing is left running. Run it on one to keep the server and try more.\n'
  exit 0
fi
cat <<TXT

  URL       $url
  Owner     admin@example.com   $password
  Member    dev1@example.com    $member_password

Next things to try, in another terminal:
  export CODER_URL=$url CODER_CONFIG_DIR=$home/dev1 PATH=$home/bin:\$PATH
  coder create my-box --template minimal --org data-platform
  coder schedule stop my-box 2h
  coder organizations members list --org data-platform

The server stays up. Press Ctrl-C to end it and remove its data.
TXT
wait "${pids[0]}"
