"""One image of a data set, to ask a fresh endpoint with."""

import re
import tarfile
import zipfile
from pathlib import Path, PurePosixPath
from typing import Final

from backends.errors import BackendError

_IMAGES: Final = (".jpg", ".jpeg", ".png", ".webp", ".gif", ".bmp", ".tif", ".tiff")


def example_image(data: Path, tested: list[str], scratch: Path) -> Path:
    """A test image (a validation or training one, where there are none) as a file.

    data: folder or archive. tested: the evaluation's own file names. An image that lies in an archive is copied into
    the folder `scratch`. Raises BackendError when no file is named like an image.
    """
    roles = ("test", "testing")
    found = [data / role / name for role in roles for name in tested if (data / role / name).is_file()]
    if not found:
        files = sorted(data.rglob("*")) if data.is_dir() else []
        found = [path for path in files if path.suffix.lower() in _IMAGES and path.is_file()]
    if found:
        return found[0]
    archives = sorted(data.rglob("*")) if data.is_dir() else [data]
    # Test images first: sorted, a False comes before a True.
    for archive in sorted(archives, key=lambda file: not _is_test(file.relative_to(data.parent).as_posix())):
        if image := _copy_first(archive, scratch):
            return image
    raise BackendError(f"{data} holds no file that is named like an image, so none was asked about")


def _is_test(path: str) -> bool:
    return re.search(r"(^|/)test(ing)?([-_./]|$)", path, re.IGNORECASE) is not None


def _copy_first(archive: Path, scratch: Path) -> Path | None:
    """Copy one image out of a .tar or .zip file; None where there is none, or the file is something else."""
    name, content = _read_first(archive)
    if not name:
        return None
    # The name's ending alone: the rest is whatever somebody wrote into the archive.
    copy = scratch / f"example{PurePosixPath(name).suffix.lower()}"
    copy.write_bytes(content)
    return copy


def _read_first(archive: Path) -> tuple[str, bytes]:
    """(name, bytes) of an image in a .tar or .zip file; ("", b"") where there is none."""
    name, content = "", b""
    if archive.suffix.lower() == ".zip":
        with zipfile.ZipFile(archive) as opened:
            name = _choose([each.filename for each in opened.infolist()])
            content = opened.read(name) if name else b""
    elif archive.suffix.lower() == ".tar":
        with tarfile.open(archive, "r:") as tar:
            name = _choose([each.name for each in tar if each.isreg()])
            file = tar.extractfile(name) if name else None
            content = file.read() if file else b""
    return name, content


def _choose(names: list[str]) -> str:
    visible = [name for name in names if not PurePosixPath(name).name.startswith(".") and "__MACOSX" not in name]
    images = sorted(name for name in visible if name.lower().endswith(_IMAGES))
    return min(images, key=lambda name: not _is_test(name), default="")
