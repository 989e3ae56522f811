"""An artifact as SageMaker keeps it, packed into model.tar.gz, as the folder that it was."""

import tarfile
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from contract.errors import ArtifactError


@contextmanager
def artifact_folder(given: Path) -> Iterator[Path]:
    """The folder itself; of an archive one with its content, for as long as the block lasts.

    Raises ArtifactError for a file that is no archive, or one with anything but plain files and folders below it.
    """
    if not given.is_file():
        yield given
        return
    with tempfile.TemporaryDirectory(prefix="kennel-artifact-") as scratch:
        try:
            with tarfile.open(given, "r:gz") as archive:
                _unpack(archive, given, Path(scratch))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise ArtifactError(
                f"{given} can't be unpacked ({error}); give an artifact's folder or its model.tar.gz"
            ) from error
        yield Path(scratch)


def _unpack(archive: tarfile.TarFile, given: Path, folder: Path) -> None:
    for member in archive:
        name = PurePosixPath(member.name)
        if name.is_absolute() or ".." in name.parts or not (member.isfile() or member.isdir()):
            raise ArtifactError(f"{given} holds {member.name}, which is no plain file; pack the artifact again")
        target = folder / name
        if member.isdir():
            target.mkdir(parents=True, exist_ok=True)
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        content = archive.extractfile(member)
        assert content is not None
        with content, target.open("wb") as file:
            while block := content.read(1 << 20):
                file.write(block)
