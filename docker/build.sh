#!/usr/bin/env bash
# Builds the image for linux/amd64.
#
#   docker/build.sh [NAME:TAG]              (default kennel:latest)
#
# BASE_IMAGE, TORCH (cuda | cpu) and PRETRAINED are passed on when set: the top of the Dockerfile says what they mean.
# DOCKER=PATH picks the docker client.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=docker/client.sh
source "$root/docker/client.sh"

case "${1-}" in -h | --help) usage; exit 0 ;; esac
tag=${1:-kennel:latest}
case "${TORCH:-cuda}" in cuda | cpu) ;; *) die "TORCH must be cuda or cpu, got '$TORCH'" ;; esac
find_docker_builder || die "$DOCKER_PROBLEM."

args=(--platform linux/amd64 --tag "$tag" --file "$root/Dockerfile")
for name in BASE_IMAGE TORCH PRETRAINED; do
    [ -z "${!name-}" ] || args+=(--build-arg "$name=${!name}")
done
args+=(--build-arg "VERSION=$(sed -n 's/^VERSION = "\(.*\)"$/\1/p' "$root/contract/version.py")")
args+=(--build-arg "REVISION=$(git -C "$root" rev-parse --verify --quiet HEAD 2>/dev/null || true)")

say "building $tag (torch for ${TORCH:-cuda}, base ${BASE_IMAGE:-of the Dockerfile}, weights ${PRETRAINED:-resnet18})"
if [ "$DOCKER_BUILDER" = buildx ]; then
    # SageMaker takes no OCI manifest, and an attestation makes an OCI index of the image.
    "$DOCKER_CLIENT" buildx build --provenance=false --sbom=false --output type=docker "${args[@]}" "$root" >&2
else
    DOCKER_BUILDKIT=1 BUILDKIT_PROGRESS=${BUILDKIT_PROGRESS:-plain} "$DOCKER_CLIENT" build "${args[@]}" "$root" >&2
fi
"$DOCKER_CLIENT" image inspect --format '{{.Id}} {{.Size}}' "$tag" |
    awk -v tag="$tag" '{printf "%s: %.0f MB (%s)\n", tag, $2 / 1e6, $1}' >&2
