#!/usr/bin/env bash
# Serves the model that train_local.sh made, in the foreground, as SageMaker would: Ctrl-C ends it.
#
#   local_test/serve_local.sh IMAGE         IMAGE=none: no Docker, this folder's Python
#
# PORT=8080 is where it listens, on this machine alone. The model is that of local_test/ml, or of KENNEL_ML_ROOT.
set -euo pipefail
# shellcheck source=local_test/common.sh
source "$(dirname "$0")/common.sh"

case "${1-}" in
    -h | --help) usage; exit 0 ;;
    "") say "serve_local.sh: IMAGE is missing. Usage: serve_local.sh IMAGE|none; --help says more."; exit 2 ;;
esac
image=$1
port=${PORT:-8080}
[ -n "$(ls "$ml/model" 2>/dev/null)" ] || die "there is no model in $ml/model: run local_test/train_local.sh $image first."
choose_runner "$image"

say "serving $ml/model on http://localhost:$port; ask it with local_test/predict.sh IMAGE_FILE"
if [ "$image" = none ]; then
    cd "$root"
    KENNEL_ML_ROOT=$ml KENNEL_HOST=127.0.0.1 SAGEMAKER_BIND_TO_PORT=$port exec "$python" -m serve
fi
# A read-only root and model, and no root: what serverless endpoints may do to it.
exec "$DOCKER_CLIENT" run --rm "${terminal[@]+"${terminal[@]}"}" --user "$(id -u):$(id -g)" --read-only --tmpfs /tmp \
    -p "127.0.0.1:$port:8080" -v "$ml/model:/opt/ml/model:ro" "$image" serve
