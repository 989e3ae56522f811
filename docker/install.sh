#!/bin/sh
# Runs in the image's builder stage: install.sh cuda|cpu. Makes /opt/venv from the locked requirements, leaves out what
# a running container cannot need, compiles the rest, and splits it into /layers/{cuda,torch,packages}.
set -eu
kind=$1
requirements=/build/requirements
wheels=/build/wheels
venv=/opt/venv

fail() { echo "install.sh: $*" >&2; exit 1; }
case "$kind" in
cuda) cuda=13.0 ;; # as in the Dockerfile's label
cpu) cuda=none ;;
*) fail "TORCH must be cuda or cpu, got '$kind'" ;;
esac

# pip stays outside: it installs into a venv that has none.
python3 -m venv /tmp/pip
python3 -m venv --without-pip "$venv"
set -- --no-deps --no-compile --quiet --no-cache-dir --disable-pip-version-check
if ls "$wheels"/*.whl >/dev/null 2>&1; then
    echo "packages come from docker/wheels alone"
    set -- "$@" --no-index --find-links "$wheels"
    cpu_index=
    way_out="run TORCH=$kind docker/wheels.sh, or delete docker/wheels/*.whl to build from the network"
else
    cpu_index=--index-url=https://download.pytorch.org/whl/cpu
    way_out="without a network, run TORCH=$kind docker/wheels.sh where there is one"
fi
install() {
    /tmp/pip/bin/python -m pip --python "$venv/bin/python" install "$@" || fail "packages are missing: $way_out"
}
version_of() { sed -n "s/^$1==\([^ +;]*\).*/\1/p" "$requirements/torch.txt"; }

if [ "$kind" = cuda ]; then
    install "$@" --require-hashes -r "$requirements/torch-cuda.txt"
else
    install "$@" $cpu_index "torch==$(version_of torch)+cpu" "torchvision==$(version_of torchvision)"
fi
install "$@" --require-hashes -r "$requirements/image.txt"

found=$("$venv/bin/python" -c 'import torch; print(torch.version.cuda or "none")')
[ "$found" = "$cuda" ] || fail "torch was built for CUDA $found, the image says $cuda: change it here and in the Dockerfile"

# Headers, C++ tests and static libraries of torch and CUDA; the packages' own tests. torch.testing stays: an optimiser's
# first step imports it. numpy.testing imports one file of numpy's tests.
site=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
cd "$site"
rm -rf torch/include torch/test torch/share torch/bin/test_* torch/bin/*Test torch/bin/protoc* torch/bin/*.pt \
    torch/bin/*.ptl torch/bin/upgrader_models torch/lib/libtorchbind_test.so torch/lib/libjitbackend_test.so \
    torch/lib/libbackend_with_compiler.so torch/lib/libaoti_custom_ops.so
find . -name '*.a' -delete
# Nothing here links against these two.
rm -f nvidia/cu13/lib/libcusolverMg.so.* nvidia/cu13/lib/libnvblas.so.*
for package in nvidia triton; do
    [ ! -d "$package" ] || find "$package" -type d -name include -prune -exec rm -rf {} +
done
# Of OpenVINO a container needs the CPU plugin, its own format and the converter from torch: not the plugins for Intel's
# GPUs and NPUs (which find no device here) with their kernel cache, nor the readers of other formats. 75 MB.
(cd openvino/libs && rm -f libopenvino_intel_gpu_plugin.so libopenvino_intel_npu_plugin.so cache.json)
for reader in gguf jax onnx paddle tensorflow tensorflow_lite; do
    rm -f "openvino/libs/libopenvino_${reader}_frontend.so".*
done
rm -rf openvino/include openvino/cmake
# NNCF declares scikit-learn and imports it nowhere. Without openvino_telemetry, OpenVINO and NNCF have no way to report
# home, whoever imports them; both are made to go on without it.
rm -rf sklearn scikit_learn.libs joblib openvino_telemetry
for package in fsspec mpmath networkx pandas scipy sympy; do
    [ ! -d "$package" ] || find "$package" -type d -name tests -prune -exec rm -rf {} +
done
find numpy -path '*/tests/*' -type f ! -path numpy/_core/tests/__init__.py ! -path numpy/_core/tests/_natype.py -delete

# Compiled here because a read-only root keeps no cache: without, every start compiles torch anew, for seconds.
# Files that no Python 3.11 can compile (templates, tests of old syntax) are not imported either.
"$venv/bin/python" -m compileall -q -j 0 --invalidation-mode unchecked-hash "$site" >/dev/null || true

# Hard links: the later stages of the build go on using /opt/venv.
for layer in cuda torch packages; do mkdir -p "/layers/$layer$site"; done
cp -al "$venv/." "/layers/packages$venv/"
split() {
    [ ! -d "/layers/packages$site/$2" ] || mv "/layers/packages$site/$2" "/layers/$1$site/"
}
split cuda nvidia
split cuda triton
split torch torch
rm -rf /tmp/pip
du -sm /layers/*
