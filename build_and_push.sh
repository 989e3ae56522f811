#!/usr/bin/env bash
# Builds the image for linux/amd64 and pushes it to Amazon ECR in the form that SageMaker accepts.
# The last line on standard output is the image's URI and nothing else; all other output goes to standard error.
#
#   ./build_and_push.sh NAME [TAG]
#
# NAME is the ECR repository; it is created when missing, with scan on push and immutable tags. As a tag can be pushed
# only once, TAG defaults to the git commit, with the time added when the working tree differs from it.
#
# Needs docker with BuildKit, the aws command, credentials and a region. Settings, from the environment:
#   AWS_REGION, AWS_PROFILE, AWS_ENDPOINT_URL ...   as for the aws command
#   REGISTRY=HOST[:PORT]                            another registry host than ACCOUNT.dkr.ecr.REGION.amazonaws.com
#   BASE_IMAGE, TORCH, PRETRAINED                   as for docker/build.sh
#   DOCKER=PATH                                     the docker client
set -euo pipefail
root=$(cd "$(dirname "$0")" && pwd)
# shellcheck source=docker/client.sh
source "$root/docker/client.sh"

fail_usage() { say "build_and_push.sh: $*. Usage: build_and_push.sh NAME [TAG]; --help says more."; exit 2; }

default_tag() {
    local now commit
    now=$(date -u +%Y%m%d-%H%M%S)
    commit=$(git -C "$root" rev-parse --verify --quiet --short=12 HEAD 2>/dev/null) || { echo "$now"; return; }
    if [ -z "$(git -C "$root" status --porcelain 2>/dev/null)" ]; then echo "$commit"; else echo "$commit-$now"; fi
}

# Sets region, account and partition; adds a sentence to `problems` for everything that is missing.
check_aws() {
    local answer identity
    if ! command -v aws >/dev/null; then
        problems+=("the aws command is not on PATH: install the AWS CLI (https://aws.amazon.com/cli/)")
        [ -n "$region" ] || problems+=("no region: set AWS_REGION, for example to eu-central-1")
        return
    fi
    [ -n "$region" ] || region=$(aws configure get region 2>/dev/null) || true
    [ -n "$region" ] || problems+=("no region: set AWS_REGION, for example to eu-central-1, or run aws configure")
    identity=$(aws sts get-caller-identity --region "${region:-us-east-1}" --query '[Account, Arn]' --output text \
        --cli-connect-timeout 10 2>&1) || {
        answer=$(printf '%s' "$identity" | tr '\n' ' ' | sed 's/^ *//; s/ *$//')
        problems+=("no AWS credentials that work ($answer): run aws configure or aws sso login, or set AWS_PROFILE")
        return
    }
    account=${identity%%[[:space:]]*}
    case "$identity" in *arn:aws-cn:*) suffix=amazonaws.com.cn ;; *) suffix=amazonaws.com ;; esac
}

ensure_repository() {
    local answer
    if answer=$(aws ecr describe-repositories --region "$region" --repository-names "$name" \
        --query 'repositories[0].imageTagMutability' --output text 2>&1); then
        [ "$answer" = IMMUTABLE ] || say "note: tags of the existing repository $name are $answer: a pushed tag can be moved"
        return
    fi
    case "$answer" in
        *RepositoryNotFoundException*) ;;
        *) die "the ECR repository $name can't be looked up: $(printf '%s' "$answer" | tr '\n' ' ')" ;;
    esac
    say "creating the ECR repository $name (scan on push, immutable tags)"
    aws ecr create-repository --region "$region" --repository-name "$name" --image-tag-mutability IMMUTABLE \
        --image-scanning-configuration scanOnPush=true >/dev/null || die "the ECR repository $name can't be created."
}

manifest() { "$DOCKER_CLIENT" manifest inspect ${insecure:+"$insecure"} "$uri"; }

case "${1-}" in
    -h | --help) usage; exit 0 ;;
    "") fail_usage "NAME is missing" ;;
esac
[ $# -le 2 ] || fail_usage "too many arguments ($#)"
name=$1
tag=${2:-$(default_tag)}
[[ $name =~ ^[a-z0-9]+([._/-][a-z0-9]+)*$ && ${#name} -ge 2 ]] ||
    fail_usage "'$name' is no repository name: lower-case letters and digits, separated by single . _ - or /"
[[ $tag =~ ^[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}$ ]] ||
    fail_usage "'$tag' is no tag: up to 128 letters, digits and . _ -, not starting with . or -"

problems=()
region=${AWS_REGION:-${AWS_DEFAULT_REGION-}} account='' suffix=''
find_docker_builder || problems+=("$DOCKER_PROBLEM")
check_aws
if [ "${#problems[@]}" -gt 0 ]; then
    say "build_and_push.sh: nothing was built, ${#problems[@]} missing:"
    for problem in "${problems[@]}"; do say "  - $problem."; done
    exit 1
fi
export AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_PAGER=''

registry=${REGISTRY:-$account.dkr.ecr.$region.$suffix}
uri=$registry/$name:$tag
# The daemon takes a registry on the loopback without TLS by itself; `docker manifest` needs the option.
case "$registry" in localhost | localhost:* | 127.*) insecure=--insecure ;; *) insecure= ;; esac

ensure_repository
aws ecr get-login-password --region "$region" |
    "$DOCKER_CLIENT" login --username AWS --password-stdin "$registry" >&2 || die "the login to $registry failed."
if manifest >/dev/null 2>&1; then
    die "$uri is there already and its tag can't be moved: give another TAG, or use the image as it is."
fi

DOCKER=$DOCKER_CLIENT "$root/docker/build.sh" "$uri"
platform=$("$DOCKER_CLIENT" image inspect --format '{{.Os}}/{{.Architecture}}' "$uri")
[ "$platform" = linux/amd64 ] || die "the image is for $platform, SageMaker needs linux/amd64: choose such a BASE_IMAGE."
"$DOCKER_CLIENT" push "$uri" >&2 || die "the push of $uri failed; the image is in the local Docker under that name."

media_type=$(manifest | sed -n '0,/"mediaType"/s/.*"mediaType": *"\([^"]*\)".*/\1/p') || media_type="nothing readable"
[ "$media_type" = application/vnd.docker.distribution.manifest.v2+json ] ||
    die "$uri was pushed as $media_type, which SageMaker refuses: build it with a Docker whose image store is the classic one (daemon.json: \"features\": {\"containerd-snapshotter\": false}) and another TAG."
printf '%s\n' "$uri"
