"""Write requirements/*.txt: every dependency group of pyproject.toml, pinned and with hashes.

    python -m tools.lock [--upgrade]

For Linux and macOS and every Python allowed. Needs the network. Versions locked before are kept, unless
pyproject.toml rules them out or --upgrade is given.
"""

import argparse
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

from tools.lockfile import Block, blocks, read

ROOT = Path(__file__).resolve().parent.parent
LOCKS = ROOT / "requirements"
GROUPS = ("image", "client", "dev")
UV = "uv==0.13.8"
INDEX = "https://pypi.org/simple"

# The CUDA build's own libraries; its CPU twin of the same version wants none of them. (nvidia-ml-py is pure Python.)
CUDA_ONLY = re.compile(r"torch|torchvision|triton|nvidia-(?!ml-py).*|cuda-.*")

# uv repeats in every marker that only what pyproject.toml's environments name is meant.
EITHER_PLATFORM = re.compile(r"\((.+?) and sys_platform == 'darwin'\) or \(\1 and sys_platform == 'linux'\)")
ALLOWED_PYTHON = "python_full_version < '3.14'"

HEADER = """\
# Made by `make lock` from pyproject.toml. Do not edit.
# {what}
# Install with: pip install --no-deps --require-hashes -r requirements/{name}.txt
"""
WHAT = {
    "image": "What training and serving need, but for torch and torchvision: see torch-cuda.txt.",
    "client": "What deploy.py needs.",
    "dev": "What tests and checks need.",
    "torch-cuda": "torch and torchvision as on PyPI, with the CUDA libraries they bring on Linux.",
}
TORCH_HEADER = """\
# Made by `make lock` from pyproject.toml. Do not edit.
# The versions alone: PyPI's build (with CUDA, on Linux) has its hashes in torch-cuda.txt; the CPU build
# ("+cpu") comes from PyTorch's own index, whose links carry theirs.
"""


def uv_binary(folder: Path) -> Path:
    """Install the pinned uv into an environment under `folder`."""
    venv.create(folder, with_pip=True)
    subprocess.run([folder / "bin" / "pip", "install", "--quiet", UV], check=True)
    return folder / "bin" / "uv"


def compile_groups(uv: Path, work: Path, groups: tuple[str, ...], preferred: list[Block]) -> list[Block]:
    """Resolve some groups together; of a package in `preferred`, that version is taken where it fits."""
    output = work / "compiled.txt"
    output.write_text("".join(block.text for block in preferred), encoding="utf-8")
    command = [str(uv), "pip", "compile", "--quiet", "--default-index", INDEX]
    command += ["--universal", "--python-version", "3.11"]
    command += ["--generate-hashes", "--no-header", "--output-file", str(output)]
    for group in groups:
        command += ["--group", group]
    # Nobody's own settings of uv, such as further indexes, shall reach the locks.
    environ = {key: value for key, value in os.environ.items() if not key.startswith("UV_")}
    environ |= {"XDG_CONFIG_HOME": str(work), "XDG_CONFIG_DIRS": str(work)}
    subprocess.run(command, check=True, cwd=ROOT, env=environ)
    return blocks(plain_markers(output.read_text(encoding="utf-8")))


def plain_markers(text: str) -> str:
    """Leave out of the markers what is true on every platform and Python that is locked for."""
    text = EITHER_PLATFORM.sub(r"\1", text)
    return text.replace(f" ; {ALLOWED_PYTHON} \\\n", " \\\n").replace(f"{ALLOWED_PYTHON} and ", "")


def write(name: str, locked: list[Block]) -> None:
    """Write requirements/NAME.txt and say so."""
    text = HEADER.format(what=WHAT[name], name=name) + "\n" + "".join(block.text for block in locked)
    (LOCKS / f"{name}.txt").write_text(text, encoding="utf-8")
    print(f"requirements/{name}.txt: {len({block.name for block in locked})} packages")


def current() -> list[Block]:
    """What is locked now, each version once."""
    seen: dict[str, Block] = {}
    for name in WHAT:
        path = LOCKS / f"{name}.txt"
        for block in read(path) if path.exists() else []:
            seen.setdefault(block.text.splitlines()[0], block)
    return list(seen.values())


def main() -> int:
    """Lock all groups together, then write one file a group."""
    parser = argparse.ArgumentParser(prog="python -m tools.lock", description=__doc__.splitlines()[0])
    parser.add_argument("--upgrade", action="store_true", help="newest versions that pyproject.toml allows")
    options = parser.parse_args()
    LOCKS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        uv = uv_binary(work / "uv")
        together = compile_groups(uv, work, GROUPS, [] if options.upgrade else current())
        for group in GROUPS:
            locked = compile_groups(uv, work, (group,), together)
            write(group, [block for block in locked if not CUDA_ONLY.fullmatch(block.name)])
    cuda = [block for block in together if CUDA_ONLY.fullmatch(block.name)]
    write("torch-cuda", cuda)
    versions = [f"{block.name}=={block.version}\n" for block in cuda if block.name in ("torch", "torchvision")]
    (LOCKS / "torch.txt").write_text(TORCH_HEADER + "".join(versions), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
