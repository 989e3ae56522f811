#!/usr/bin/env bash
# Makes a base image for the Dockerfile without any image registry: Debian bookworm with its own Python 3.11.
#
#   docker/offline-base.sh [TAG]            (default kennel-base:bookworm; needs root, debootstrap, docker)
#   BASE_IMAGE=kennel-base:bookworm docker/build.sh
#
# MIRROR=URL   Debian mirror (default http://deb.debian.org/debian)
#
# What debootstrap takes is the point release: no security updates since. For CI and air-gapped machines;
# an image that goes to production is better built on the Dockerfile's default base.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=docker/client.sh
source "$here/client.sh"

case "${1-}" in -h | --help) usage; exit 0 ;; esac
tag=${1:-kennel-base:bookworm}
mirror=${MIRROR:-http://deb.debian.org/debian}

[ "$(id -u)" = 0 ] || die "offline-base.sh needs root, because debootstrap does: run it again with sudo."
command -v debootstrap >/dev/null || die "debootstrap is missing: apt-get install debootstrap."
find_docker || die "$DOCKER_PROBLEM."

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
# python3-venv brings the pip that makes /opt/venv; a pip of the system is not needed.
debootstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$root" "$mirror" >"$root.log" 2>&1 ||
    { tail -n 5 "$root.log" >&2; die "debootstrap failed; its output is in $root.log."; }
rm -f "$root.log"

# What Debian's own slim images leave out (copyright notices stay).
find "$root/usr/share/doc" -mindepth 2 ! -name copyright ! -type d -delete
find "$root/usr/share/doc" -mindepth 1 -type d -empty -delete
rm -rf "$root"/usr/share/{man,info,groff,lintian,linda}/* "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/* \
    "$root"/var/cache/debconf/*-old "$root"/var/log/* "$root"/tmp/* "$root"/debootstrap
find "$root/usr/share/locale" -mindepth 1 -maxdepth 1 ! -name locale.alias -exec rm -rf {} +
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"

tar -C "$root" --numeric-owner -c . |
    "$DOCKER_CLIENT" import --change 'CMD ["python3"]' --change 'ENV LANG=C.UTF-8' --message 'debootstrap bookworm' - "$tag" >/dev/null
say "$tag: $("$DOCKER_CLIENT" image inspect --format '{{.Size}}' "$tag" | awk '{printf "%.0f MB", $1 / 1e6}')"
