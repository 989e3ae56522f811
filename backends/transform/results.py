"""The results of a transform in its folder.

predictions.jsonl grows line by line, and shows after a kill how far it came. transform.json describes what the results
are of, so that a second start goes on only with the same.
"""

import itertools
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from contract.files import locked, read_object, write_json

PREDICTIONS: Final = "predictions.jsonl"
TABLE: Final = "predictions.csv"
SUMMARY: Final = "summary.json"
MANIFEST: Final = "transform.json"
_OURS: Final = (PREDICTIONS, TABLE, SUMMARY, MANIFEST)


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Faults of the results' disk as one sentence."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        raise BackendError(
            f"the results can't be written to {folder} ({reason}); mend that, or choose another --out"
        ) from error


@contextmanager
def open_results(folder: Path) -> Iterator["Results"]:
    """The folder of one transform, made if it isn't there and held by one process at a time.

    Raises BackendError when it can't be made or another transform holds it.
    """
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        try:
            # The folder itself, so that no file is left for it.
            stack.enter_context(locked(folder, wait=False))
        except BlockingIOError as error:
            raise BackendError(f"another transform is writing to {folder}; choose another --out") from error
        yield Results(folder)


class Results:
    """The files of one transform in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def manifest(self) -> dict[str, Any]:
        """What the results here are of; empty where there are none."""
        return read_object(self.folder / MANIFEST)

    def open(self, subject: Mapping[str, Any], restart: bool) -> None:
        """Begin, or go on with what is here already. subject: what the results depend on, JSON-ready.

        Raises BackendError when what is here is of another subject.
        """
        with writing(self.folder):
            if restart:
                for name in _OURS:
                    (self.folder / name).unlink(missing_ok=True)
            old = self.manifest.get("subject")
            if old is None and (self.folder / PREDICTIONS).exists():
                raise BackendError(
                    f"{self.folder} has a {PREDICTIONS} that isn't known to be of these images; choose another --out, "
                    "or --restart to replace it"
                )
            if old is not None and old != subject:
                changed = " and ".join(name for name in subject if old.get(name) != subject[name]) or "others"
                raise BackendError(
                    f"the results in {self.folder} are of another transform (changed: {changed}); choose another "
                    "--out, or --restart to begin anew"
                )
            if old is None:
                self.update_manifest(subject=subject)

    def update_manifest(self, **values: Any) -> None:
        """Add to the manifest."""
        with writing(self.folder):
            write_json(self.folder / MANIFEST, {**self.manifest, **values})

    def recover(self, files: Iterator[str]) -> tuple[int, Iterator[str]]:
        """How many of the files have their line already, and the files after these.

        Whatever is behind the last good line is cut off: half a line after a kill, or an answer of another file.
        """
        path = self.folder / PREDICTIONS
        good = count = 0
        with writing(self.folder), path.open("a+b") as lines:
            lines.seek(0)
            for line in lines:
                file = next(files, None)
                if file is None or not line.endswith(b"\n") or _file_of(line) != file:
                    files = itertools.chain([] if file is None else [file], files)
                    break
                good, count = good + len(line), count + 1
            lines.truncate(good)
        return count, files

    @contextmanager
    def append(self) -> Iterator[Callable[[Mapping[str, Any]], None]]:
        """A function that adds one row to predictions.jsonl; a kill can leave half a line of it, and nothing worse.

        It raises BackendError when the disk is full.
        """
        with writing(self.folder), (self.folder / PREDICTIONS).open("ab", buffering=0) as file:

            def add(row: Mapping[str, Any]) -> None:
                line = encode_line(row)
                with writing(self.folder):
                    while line:
                        line = line[os.write(file.fileno(), line) :]

            yield add

    def lines(self) -> Iterator[dict[str, Any]]:
        """Every line, in order."""
        with (self.folder / PREDICTIONS).open("rb") as lines:
            for line in lines:
                yield json.loads(line)


def encode_line(row: Mapping[str, Any]) -> bytes:
    """A row as JSON in UTF-8; a file name that is no UTF-8 comes as lone surrogates, which are escaped."""
    return (json.dumps(row, ensure_ascii=False) + "\n").encode("utf-8", "backslashreplace")


def _file_of(line: bytes) -> str | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None
    return value.get("file") if isinstance(value, dict) else None
