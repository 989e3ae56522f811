"""Puts ImageNet weights into the image at build time, under torchvision's file names.

    bake_pretrained.py --target DIR --files DIR resnet18 resnet50 | none | file

Architectures are downloaded; `file` takes what lies in --files. The hash in a torchvision file name is
checked either way. A file ARCHITECTURE.pth claims no hash: weights of one's own, which `pretrained=imagenet`
finds from then on.
"""

import argparse
import hashlib
import shutil
import sys
import urllib.request
from pathlib import Path
from urllib.parse import urlparse

from model.pretrained import imagenet_url

_TIMEOUT_S = 60
_ARCHITECTURES = ("resnet18", "resnet34", "resnet50")


def main() -> None:
    """Fill the target folder; ends with one sentence on standard error when that can't be done."""
    parser = argparse.ArgumentParser(description="Bake ImageNet weights into the image.")
    parser.add_argument("--target", type=Path, required=True)
    parser.add_argument("--files", type=Path, required=True)
    parser.add_argument("sources", nargs="*", metavar="ARCHITECTURE | none | file")
    arguments = parser.parse_args()
    arguments.target.mkdir(parents=True)
    sources = arguments.sources or ["none"]
    if sources == ["none"]:
        return
    if sources == ["file"]:
        copy_files(arguments.files, arguments.target)
        return
    for architecture in sources:
        if architecture not in _ARCHITECTURES:
            sys.exit(
                f"PRETRAINED must be none, file or architectures of {', '.join(_ARCHITECTURES)}, got '{architecture}'"
            )
        download(imagenet_url(architecture), arguments.target)


def copy_files(files: Path, target: Path) -> None:
    """Every .pth file of the folder, under the name by which `pretrained=imagenet` looks for it."""
    found = sorted(files.glob("*.pth"))
    if not found:
        sys.exit("PRETRAINED=file: docker/pretrained/ holds no .pth file")
    known = {architecture: _file_name(imagenet_url(architecture)) for architecture in _ARCHITECTURES}
    for file in found:
        if file.stem in known:
            name = known[file.stem]
            print(f"{file.name}: taken as {name}, its hash unchecked: weights of your own")
        elif file.name in known.values():
            name = file.name
            _check(file, name)
        else:
            expected = ", ".join([*known.values(), *(f"{architecture}.pth" for architecture in known)])
            sys.exit(f"PRETRAINED=file: {file.name} is none of the names that are known: {expected}")
        shutil.copyfile(file, target / name)
        (target / name).chmod(0o644)


def download(url: str, target: Path) -> None:
    """Fetch torchvision's file and check it against the hash in its name."""
    file = target / _file_name(url)
    try:
        with urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer, file.open("wb") as out:
            shutil.copyfileobj(answer, out)
    except OSError as error:
        sys.exit(
            f"{url} can't be downloaded ({error}): put the file into docker/pretrained/ and build with "
            "PRETRAINED=file, or leave the weights out with PRETRAINED=none"
        )
    _check(file, file.name)
    file.chmod(0o644)


def _file_name(url: str) -> str:
    return Path(urlparse(url).path).name


def _check(file: Path, name: str) -> None:
    claimed = Path(name).stem.rsplit("-", 1)[-1]
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(claimed):
        sys.exit(f"{name}: its SHA-256 starts with {digest[:8]}, not with {claimed}: fetch the file again")


if __name__ == "__main__":
    main()
