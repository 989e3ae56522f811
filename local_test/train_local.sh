#!/usr/bin/env bash
# Trains as SageMaker would, in the image or (IMAGE=none) in this folder's Python, on an /opt/ml tree of your own.
#
#   local_test/train_local.sh IMAGE [NAME=VALUE ...]      for example: train_local.sh kennel epochs=3 lr=0.001
#
# The tree is local_test/ml, or KENNEL_ML_ROOT. Its parts are made when they are missing: the sample data in
# input/data, and input/config/hyperparameters.json with settings that take a minute; NAME=VALUE rewrites that file.
# The model goes to model/; that of the run before is kept in model.previous/.
# SHM_SIZE=1g is the container's shared memory, through which the loading processes hand over images.
set -euo pipefail
# shellcheck source=local_test/common.sh
source "$(dirname "$0")/common.sh"

case "${1-}" in
    -h | --help) usage; exit 0 ;;
    "") say "train_local.sh: IMAGE is missing. Usage: train_local.sh IMAGE|none [NAME=VALUE ...]; --help says more."; exit 2 ;;
esac
image=$1
shift
for pair in "$@"; do
    [[ $pair =~ ^[A-Za-z][A-Za-z0-9_-]*= ]] || { say "train_local.sh: '$pair' is no NAME=VALUE, as in epochs=3."; exit 2; }
done
choose_runner "$image"

mkdir -p "$ml/input/config" "$ml/input/data"
run_image() { "$DOCKER_CLIENT" run --rm "${terminal[@]+"${terminal[@]}"}" --user "$(id -u):$(id -g)" "$@"; }

if [ -z "$(ls "$ml/input/data")" ]; then
    say "making the sample data in $ml/input/data"
    if [ "$image" = none ]; then
        (cd "$root" && "$python" -m examples.sample_data "$ml/input/data") >&2
    else
        run_image --network none -v "$root/examples:/kennel/examples:ro" -e PYTHONPATH=/kennel \
            -v "$ml/input/data:/data" "$image" python -m examples.sample_data /data >&2
    fi
fi

hyperparameters=$ml/input/config/hyperparameters.json
if [ $# -gt 0 ] || [ ! -e "$hyperparameters" ]; then
    # SageMaker's form: every value a string. A name given twice takes its last value.
    printf '%s\n' pretrained=none image_size=96 epochs=2 "$@" | sed 's/[\\"]/\\&/g' | awk '
        { at = index($0, "="); name = substr($0, 1, at - 1); value = substr($0, at + 1); gsub(/-/, "_", name)
          if (!(name in values)) names[++n] = name
          values[name] = value }
        END { printf "{"; for (i = 1; i <= n; i++) printf "%s\"%s\": \"%s\"", (i > 1 ? ", " : ""), names[i], values[names[i]]
              print "}" }' >"$hyperparameters"
fi
say "hyperparameters: $(cat "$hyperparameters")"

if [ -n "$(ls "$ml/model" 2>/dev/null)" ]; then rm -rf "$ml/model.previous"; mv "$ml/model" "$ml/model.previous"; fi
mkdir -p "$ml/model" "$ml/output"
if [ "$image" = none ]; then
    cd "$root"
    KENNEL_ML_ROOT=$ml exec "$python" -m train
fi
run_image --shm-size "${SHM_SIZE:-1g}" -v "$ml:/opt/ml" "$image" train
