# Sourced by train_local.sh and serve_local.sh: the /opt/ml tree and what runs it, an image or (IMAGE=none) this folder.
# shellcheck shell=bash disable=SC2034
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
# shellcheck source=docker/client.sh
source "$root/docker/client.sh"

ml=${KENNEL_ML_ROOT:-$root/local_test/ml}
case "$ml" in /*) ;; *) ml=$PWD/$ml ;; esac

# Sets `python` for IMAGE=none, DOCKER_CLIENT and `terminal` otherwise.
choose_runner() {
    terminal=()
    if [ "$1" = none ]; then
        python=$root/.venv/bin/python
        [ -x "$python" ] || python=$(command -v python3) || die "no Python: run make setup first."
        return
    fi
    find_docker || die "$DOCKER_PROBLEM. (Without Docker: $(basename "$0") none)"
    "$DOCKER_CLIENT" image inspect "$1" >/dev/null 2>&1 || die "there is no image $1: build it with docker/build.sh $1."
    if [ -t 0 ] && [ -t 1 ]; then terminal=(-it); fi
}
