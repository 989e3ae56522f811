#!/usr/bin/env bash
# Fetches the wheels for a build without a network into docker/wheels/. Run it with Python 3.11 on Linux.
#
#   docker/wheels.sh                        (TORCH=cpu for the CPU build of torch; PYTHON=PATH picks the Python)
#
# The CPU build comes from where pip is configured to look (find-links), else from PyTorch's own index.
# Delete docker/wheels/*.whl to build from the network again.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=docker/client.sh
source "$root/docker/client.sh"

case "${1-}" in -h | --help) usage; exit 0 ;; esac
torch=${TORCH:-cuda}
python=${PYTHON:-$root/.venv/bin/python}
[ -x "$python" ] || python=python3
# The lock's markers are taken from the Python that runs pip, not from the one it downloads for.
"$python" -c 'import sys; sys.exit(sys.platform != "linux" or sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    die "$python is not Python 3.11 on Linux: set PYTHON=/path/to/python3.11."
"$python" -m pip --version >/dev/null 2>&1 || die "$python has no pip: run make setup first, or set PYTHON=/path/to/python."

# No newer glibc than Debian 12's 2.36, whatever the machine has.
platforms=(--platform linux_x86_64 --platform manylinux1_x86_64 --platform manylinux2010_x86_64 --platform manylinux2014_x86_64)
for minor in $(seq 5 36); do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
fetch() {
    "$python" -m pip --disable-pip-version-check download --quiet --no-deps --only-binary :all: --dest "$root/docker/wheels" \
        --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none "${platforms[@]}" "$@"
}
rm -f "$root"/docker/wheels/*.whl
version_of() { sed -n "s/^$1==\([^ +;]*\).*/\1/p" "$root/requirements/torch.txt"; }

case "$torch" in
    cuda)
        fetch --require-hashes -r "$root/requirements/torch-cuda.txt"
        ;;
    cpu)
        fetch "torch==$(version_of torch)+cpu" 2>/dev/null ||
            fetch --timeout 10 --retries 1 --index-url https://download.pytorch.org/whl/cpu "torch==$(version_of torch)+cpu" ||
            die "no CPU build of torch $(version_of torch): neither pip's find-links nor download.pytorch.org has it."
        fetch "torchvision==$(version_of torchvision)"
        ;;
    *) die "TORCH must be cuda or cpu, got '$torch'" ;;
esac
fetch --require-hashes -r "$root/requirements/image.txt"
say "docker/wheels: $(find "$root/docker/wheels" -name '*.whl' | wc -l) wheels, $(du -sm "$root/docker/wheels" | cut -f1) MB"
