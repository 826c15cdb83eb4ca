#!/usr/bin/env bash
# Makes sure that a Docker engine answers, for tests that need one.
#
#   .ci/docker.sh [start]        start one where none answers, and leave it running
#   .ci/docker.sh stop           stop the engine that start started, and no other
#   .ci/docker.sh run COMMAND…   run a command beside an engine, and stop what was started for it
#
# An engine that answers already, at DOCKER_HOST or the usual socket, is used
# and left alone. Else dockerd is started at the usual socket, as root or with
# sudo; what it stores goes below one directory in $TMPDIR.
set -euo pipefail

home=${CODER_TEST_DOCKER_HOME:-${TMPDIR:-/tmp}/coder-test-docker}

say() { echo "docker: $*" >&2; }
answers() { docker version --format '{{.Server.Version}}' >/dev/null 2>&1; }
as_root() { if [[ $(id -u) == 0 ]]; then "$@"; else sudo -n "$@"; fi; }

install_docker() {
  command -v dockerd >/dev/null && command -v docker >/dev/null && return
  say "installing it"
  as_root apt-get update -qq
  # Newer releases of Debian have the client in a package of its own.
  as_root apt-get install -y -qq docker.io docker-cli >&2 || as_root apt-get install -y -qq docker.io >&2
}

# launch ARGS… starts dockerd and waits until it answers or ends.
launch() {
  mkdir -p "$home"
  say "starting dockerd${*:+ $*}, its log is $home/dockerd.log"
  as_root sh -c 'home=$1; shift
    exec setsid dockerd --data-root "$home/data" --exec-root "$home/exec" --pidfile "$home/docker.pid" "$@" \
      >"$home/dockerd.log" 2>&1 </dev/null' sh "$home" "$@" &
  local launched=$!
  for _ in $(seq 120); do
    if answers; then
      # For tests that do not run as root, on a machine that is thrown away.
      [[ $(id -u) == 0 ]] || as_root chmod a+rw /var/run/docker.sock
      return
    fi
    kill -0 "$launched" 2>/dev/null || return 1
    sleep 0.5
  done
  stop
  return 1
}

# start tells by its status 3 that an engine was there already.
start() {
  if answers; then
    say "an engine answers at ${DOCKER_HOST:-/var/run/docker.sock}"
    return 3
  fi
  if [[ -n ${DOCKER_HOST-} && $DOCKER_HOST != unix:///var/run/docker.sock ]]; then
    say "no engine answers at DOCKER_HOST=$DOCKER_HOST; start it, or unset DOCKER_HOST"
    exit 1
  fi
  install_docker
  # Some machines have no firewall in their kernel, and some no overlay.
  launch || launch --iptables=false --ip6tables=false || launch --iptables=false --ip6tables=false --storage-driver=vfs || {
    say "dockerd does not come up:"
    tail -n 20 "$home/dockerd.log" >&2
    exit 1
  }
  say "dockerd answers at /var/run/docker.sock; stop it with $0 stop"
}

stop() {
  local pid
  pid=$(as_root cat "$home/docker.pid" 2>/dev/null) || return 0
  as_root kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 120); do
    as_root kill -0 "$pid" 2>/dev/null || break
    sleep 0.25
  done
  say "stopped the dockerd that stores in $home"
}

beside() {
  local status=0
  start || status=$?
  case $status in
  0) trap stop EXIT ;;
  3) ;;
  *) exit "$status" ;;
  esac
  "$@"
}

case ${1-start} in
start) start || [[ $? == 3 ]] ;;
stop) stop ;;
run)
  shift
  beside "$@"
  ;;
*)
  sed -n '2,10p' "$0" | sed 's/^# \{0,1\}//' >&2
  exit 2
  ;;
esac
