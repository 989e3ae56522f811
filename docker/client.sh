# Sourced by the scripts that talk to Docker: finds a client that works, and says what it found.
# shellcheck shell=bash disable=SC2034
#
# DOCKER=PATH picks the client; otherwise every `docker` on PATH is tried in order.

say() { printf '%s\n' "$*" >&2; }
die() { printf '%s: %s\n' "$(basename "$0")" "$*" >&2; exit 1; }

# The comment at the top of a script is its help.
usage() { awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; }

docker_candidates() {
    if [ -n "${DOCKER-}" ]; then printf '%s\n' "$DOCKER"; else type -aP docker | awk '!seen[$0]++' || true; fi
}

# Sets DOCKER_CLIENT to the first client that reaches a daemon; otherwise DOCKER_PROBLEM to a sentence, and fails.
find_docker() {
    local client found=
    DOCKER_CLIENT=
    while read -r client; do
        if "$client" info >/dev/null 2>&1; then DOCKER_CLIENT=$client; return 0; fi
        found=$client
    done < <(docker_candidates)
    if [ -z "$found" ]; then
        DOCKER_PROBLEM="no docker client on PATH: install Docker, or name the client with DOCKER=/path/to/docker"
    else
        DOCKER_PROBLEM="$found reaches no Docker daemon: start it (systemctl start docker, or Docker Desktop) or set DOCKER_HOST"
    fi
    return 1
}

# How a client builds with BuildKit: buildx, builtin (clients before 23.0 need no plugin) or none.
# The legacy builder is no way out: it refuses RUN --mount.
buildkit_of() {
    local version
    if "$1" buildx version >/dev/null 2>&1; then echo buildx; return; fi
    version=$("$1" version --format '{{.Client.Version}}' 2>/dev/null) || version=
    case "${version%%.*}" in 18 | 19 | 20) echo builtin ;; *) echo none ;; esac
}

# Sets DOCKER_CLIENT and DOCKER_BUILDER (buildx | builtin) to the first client that reaches a daemon and has BuildKit;
# otherwise DOCKER_PROBLEM to a sentence, and fails.
find_docker_builder() {
    local client refused=
    find_docker || return 1
    while read -r client; do
        "$client" info >/dev/null 2>&1 || continue
        DOCKER_BUILDER=$(buildkit_of "$client")
        if [ "$DOCKER_BUILDER" != none ]; then
            DOCKER_CLIENT=$client
            say "docker client: $client ($DOCKER_BUILDER BuildKit${refused:+; passed over$refused, which lacks the buildx plugin})"
            return 0
        fi
        refused="$refused $client"
    done < <(docker_candidates)
    DOCKER_PROBLEM="no BuildKit:$refused lacks the buildx plugin: install docker-buildx-plugin, or name another client with DOCKER=/path/to/docker"
    return 1
}
