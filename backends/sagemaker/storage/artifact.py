"""An artifact's folder as model.tar.gz in S3: the same bytes for the same content, and each content sent once."""

import gzip
import hashlib
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.errors import AwsError, none_if_missing, translate_aws_errors
from backends.sagemaker.names import S3Location

ARCHIVE: Final = "model.tar.gz"
MANIFEST: Final = "kennel.json"
# Weights hardly compress, whatever the level.
_LEVEL: Final = 1
_BLOCK: Final = 1 << 20
_DIGEST: Final = 16
_SHA256: Final = "kennel-sha256"


@dataclass(frozen=True)
class ArtifactContent:
    """What an artifact's folder holds: its files, sorted by name; a digest of names and bytes; bytes in all."""

    folder: Path
    files: tuple[str, ...]
    digest: str
    size: int


def read_artifact(artifact: Path) -> ArtifactContent:
    """Read every file of an artifact's folder. Raises BackendError when it is none, or holds what is no file."""
    folder = artifact.resolve()
    if not (folder / MANIFEST).is_file():
        raise BackendError(
            f"there is no artifact in {artifact} (no {MANIFEST}); give the folder ml/model of a run, or its name"
        )
    files = tuple(_files(folder))
    digest, size = hashlib.sha256(), 0
    for name in files:
        content, length = _sha256(folder / name)
        size += length
        digest.update(f"{name}\0{content}\n".encode())
    return ArtifactContent(folder, files, digest.hexdigest(), size)


def _files(folder: Path) -> Iterator[str]:
    # A hidden file is something that was being written when its process was ended.
    for path in sorted(folder.rglob("*"), key=lambda path: path.relative_to(folder).as_posix()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or path.is_dir():
            continue
        if path.is_symlink() or not path.is_file():
            raise BackendError(f"{path} is no regular file, so it can't travel to S3; copy the artifact's folder again")
        yield name.as_posix()


def _sha256(path: Path) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
            size += len(block)
    return digest.hexdigest(), size


def pack_artifact(content: ArtifactContent, archive: Path) -> None:
    """Write the files as .tar.gz: no times, owners or order of this machine in it."""
    with (
        archive.open("wb") as raw,
        gzip.GzipFile("", "wb", _LEVEL, raw, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as tar,
    ):
        for name in content.files:
            path = content.folder / name
            member = tarfile.TarInfo(name)
            member.size, member.mode = path.stat().st_size, 0o644
            with path.open("rb") as file:
                tar.addfile(member, file)


def artifact_location(account: Account, content: ArtifactContent) -> S3Location:
    """Where this content lies, whoever sends it: BUCKET/PREFIX/models/DIGEST/model.tar.gz."""
    return account.location(f"models/{content.digest[:_DIGEST]}/{ARCHIVE}")


def upload_artifact(account: Account, artifact: Path, scratch: Path) -> S3Location:
    """The artifact's place in S3; sent unless it lies there already, whole. scratch: a folder for the archive.

    Raises BackendError when the folder is no artifact, or S3 refuses.
    """
    return upload_content(account, read_artifact(artifact), scratch)


def upload_content(account: Account, content: ArtifactContent, scratch: Path) -> S3Location:
    """The same of an artifact that has been read."""
    target = artifact_location(account, content)
    if not _is_there(account, target, content):
        archive = scratch / f".{ARCHIVE}"
        try:
            pack_artifact(content, archive)
            with archive.open("rb") as file:
                _send(account, target, content, file)
        finally:
            archive.unlink(missing_ok=True)
    return target


def _is_there(account: Account, target: S3Location, content: ArtifactContent) -> bool:
    s3 = account.client("s3")
    try:
        answer = none_if_missing(
            f"looking for {target.url}", lambda: s3.head_object(Bucket=target.bucket, Key=target.key)
        )
    except AwsError as refused:
        # Without permission to list the bucket, S3 denies the request for a missing object, too.
        if refused.denied:
            return False
        raise
    # An object appears in S3 whole or not at all.
    return answer is not None and bool(answer["Metadata"].get(_SHA256) == content.digest)


def _send(account: Account, target: S3Location, content: ArtifactContent, file: IO[bytes]) -> None:
    with translate_aws_errors(f"sending the artifact to {target.url}"):
        account.client("s3").upload_fileobj(
            file, target.bucket, target.key, ExtraArgs={"Metadata": {_SHA256: content.digest}, **account.encryption}
        )
