"""What a job left in S3, into the run folder, where it looks as if the job had run here."""

import contextlib
import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

from backends.base import Progress, Watch
from backends.cloud.account import Account
from backends.cloud.errors import Refused, told
from backends.cloud.names import Place
from backends.errors import BackendError

# Makes an artifact whole, so it comes last.
_MANIFEST: Final = "kennel.json"


def fetch_archive(account: Account, source: Place, folder: Path, watch: Watch) -> bool:
    """Unpack a .tar.gz of S3 into a folder, whose files of the same names it replaces. False when there is none.

    Raises BackendError when it can't be read, or holds anything that would end up outside the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Beside it: what is renamed must not cross file systems.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as scratch:
        archive, unpacked = Path(scratch, "archive"), Path(scratch, "files")
        if not download(account, source, archive, watch):
            return False
        unpack(archive, unpacked, source.url)
        _move(unpacked, folder)
    return True


def download(account: Account, source: Place, file: Path, watch: Watch) -> bool:
    """Bring one object. False when there is none; raises BackendError when it can't be read."""
    client = account.client("s3")
    name = source.key.rsplit("/", 1)[-1]
    done = 0

    def count(sent: int) -> None:
        nonlocal done
        done += sent

    try:
        with told(f"fetching {source.url}"):
            size = client.head_object(Bucket=source.bucket, Key=source.key)["ContentLength"]
            watch(Progress(f"fetching {name}", 0, -(-size // 1000), "kB"))
            client.download_file(source.bucket, source.key, str(file), Callback=count)
    except Refused as error:
        if error.missing:
            return False
        raise
    watch(Progress(f"fetching {name}", -(-done // 1000), -(-size // 1000), "kB"))
    return True


def unpack(archive: Path, folder: Path, name: str) -> None:
    """Unpack a .tar.gz that anybody may have made: folders and plain files, into the folder, or nothing at all.

    name: of the archive, for people. Raises BackendError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tarfile.open(archive, "r:gz") as tar:
            members = list(_safe(tar, name))
            for member in members:
                target = folder / member.name
                if member.isdir():
                    target.mkdir(parents=True, exist_ok=True)
                    continue
                target.parent.mkdir(parents=True, exist_ok=True)
                content = tar.extractfile(member)
                assert content is not None
                with content, target.open("wb") as file:
                    shutil.copyfileobj(content, file)
    except (tarfile.TarError, EOFError, OSError, zlib.error) as error:
        raise BackendError(f"{name} can't be unpacked ({error}); it may be damaged") from error


def _safe(tar: tarfile.TarFile, name: str) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        path = PurePosixPath(member.name)
        fault = ""
        if path.is_absolute() or ".." in path.parts:
            fault = "a path outside"
        elif member.issym() or member.islnk():
            fault = "a link"
        elif not (member.isdir() or member.isreg()):
            fault = "no file"
        if fault:
            raise BackendError(f"{name} holds {member.name}, which is {fault}; nothing of it was unpacked")
        yield member


def _move(source: Path, folder: Path) -> None:
    """Every file of the source into the folder, the manifest last; what an earlier artifact had is gone before."""
    files = sorted((path for path in source.rglob("*") if path.is_file()), key=lambda path: path.name == _MANIFEST)
    with contextlib.suppress(FileNotFoundError):
        (folder / _MANIFEST).unlink()
    for file in files:
        target = folder / file.relative_to(source)
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
