"""Lists of images with their classes: AWS's augmented manifests (JSON lines) and .lst files (tab-separated)."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from contract.errors import DataError
from train.data.archives import read_indexes
from train.data.contents import LISTS, files_below, read_text, scan
from train.data.listing import LabelledImage, Listing
from train.data.names import printable
from train.data.sources import FileSource, ImageSource
from train.data.webdataset import label_text

_JOB_TYPE: Final = "groundtruth/image-classification"
_PLAIN_KEYS: Final = ("class", "label")
_EXAMPLE: Final = '{"source-ref": "beagle/1.jpg", "class": "beagle"}'


@dataclass(frozen=True)
class _Line:
    """One image as a list names it. label: empty when the list says why it has none, in `fault`."""

    ref: str
    label: str
    where: str
    names: tuple[tuple[int, str], ...] = ()
    fault: str = ""


def list_images(files: Sequence[Path], folders: Sequence[Path]) -> Listing:
    """The images that the lists name, in the first of `folders` that has them, or in archives there.

    A reference is a relative path or a URL (s3://bucket/prefix/a/b.jpg), of which the longest end that exists is used.
    Raises DataError for a line that can't be parsed, an image of two classes, or when no image exists.
    """
    lines = [line for file in sorted(files) for line in _read(file)]
    shown = ", ".join(file.name for file in sorted(files))
    images: list[LabelledImage] = []
    names: set[tuple[int, str]] = set()
    left_out: list[tuple[str, str]] = []
    numbered_by_folder = all(file.name.lower().endswith(LISTS) for file in files)
    trees = [_tree(folder) for folder in folders]
    seen: dict[ImageSource, _Line] = {}
    for line in lines:
        path, source = _find(line.ref, trees)
        if source is None or line.fault:
            left_out.append((printable(line.ref), line.fault or f"there is no such image ({line.where})"))
            continue
        if before := seen.get(source):
            if before.label != line.label:
                raise DataError(
                    f"{before.where} gives {printable(line.ref)} the class {before.label}, {line.where} the class "
                    f"{line.label}; give every image one class"
                )
            left_out.append((printable(line.ref), f"named twice ({before.where} and {line.where})"))
            continue
        seen[source] = line
        images.append(LabelledImage(line.label, path, source))
        names.update(line.names)
        parent = path.rpartition("/")[0].rpartition("/")[2]
        if numbered_by_folder and parent:
            names.add((int(line.label), printable(parent)))
    if not images:
        raise _nothing_found(shown, lines, folders)
    return Listing(f"listed in {shown}", str(files[0]), images, names=frozenset(names), left_out=left_out)


def _nothing_found(shown: str, lines: Sequence[_Line], folders: Sequence[Path]) -> DataError:
    if not lines:
        return DataError(f"{shown} names no image; write a line for each")
    where = ", ".join(str(folder) for folder in folders)
    example = f", for example {printable(lines[0].ref)}" + (f" ({lines[0].fault})" if lines[0].fault else "")
    return DataError(
        f"none of the {len(lines)} images that {shown} names can be used{example}; put them into {folders[0]} or "
        f"into another channel (looked in {where})"
    )


def _tree(folder: Path) -> dict[str, ImageSource]:
    """Every file below `folder`, and in the archives that lie in it, by relative path."""
    tree: dict[str, ImageSource] = {path: FileSource(folder / path) for path in files_below(folder)}
    if archives := scan(folder).archives:
        tree.update((member.path, member.source) for member in read_indexes(archives).members)
    return tree


def _find(ref: str, trees: Sequence[Mapping[str, ImageSource]]) -> tuple[str, ImageSource | None]:
    url = re.match(r"[a-z0-9]+://[^/]*/", ref, re.IGNORECASE)
    parts = [part for part in ref[url.end() if url else 0 :].split("/") if part not in ("", ".", "..")]
    for start in range(len(parts)):
        path = "/".join(parts[start:])
        for tree in trees:
            if source := tree.get(path):
                return path, source
    return "/".join(parts), None


def _read(file: Path) -> Iterator[_Line]:
    read = _read_lst if file.name.lower().endswith(LISTS) else _read_manifest
    for number, text in enumerate(read_text(file).split("\n"), 1):
        if text.strip():
            yield read(text, f"line {number} of {file.name}")


def _read_lst(text: str, where: str) -> _Line:
    columns = text.split("\t")
    if len(columns) > 3:
        raise DataError(f"{where} has {len(columns)} columns: an image may have one class alone")
    # im2rec writes class numbers as 1.000000.
    number = re.fullmatch(r"\s*(\d+)(?:\.0*)?\s*", columns[1]) if len(columns) == 3 else None
    if number is None:
        raise DataError(
            f"{where} must be an index, a class number from 0 and a relative path, separated by tabs; "
            f"got '{printable(text)[:80]}'"
        )
    return _Line(columns[2].strip(), str(int(number[1])), where)


def _read_manifest(text: str, where: str) -> _Line:
    try:
        line = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{where} is no JSON ({error}); write one object a line, like {_EXAMPLE}") from error
    if not isinstance(line, dict) or not isinstance(line.get("source-ref"), str):
        raise DataError(f"{where} has no source-ref; write one object a line, like {_EXAMPLE}")
    return _Line(line["source-ref"], *_class_of(line, where))


def _class_of(line: dict[str, Any], where: str) -> tuple[str, str, tuple[tuple[int, str], ...], str]:
    """What follows `ref` in _Line: the class in Ground Truth's form, or under a plain key."""
    suffix = "-metadata"
    ends = [(name.removesuffix(suffix), about) for name, about in line.items() if name.endswith(suffix)]
    jobs = [(name, about) for name, about in ends if isinstance(about, dict)]
    labelled = [(name, about) for name, about in jobs if about.get("type") == _JOB_TYPE and name in line]
    if len(labelled) > 1:
        names = ", ".join(printable(name) for name, _ in labelled)
        raise DataError(f"{where} has {len(labelled)} classes ({names}); keep the job that is meant")
    for name, about in labelled:
        number, label = label_text(line[name]), label_text(about.get("class-name"))
        if number or label:
            known = ((int(number), label),) if number.isdecimal() and label else ()
            return label or number, where, known, ""
    plain = [label_text(line[key]) for key in _PLAIN_KEYS if key in line]
    if plain and plain[0]:
        return plain[0], where, (), ""
    if any("failure-reason" in about for _, about in jobs):
        return "", where, (), f"labelling failed ({where})"
    kinds = ", ".join(sorted({printable(str(about.get("type", "?"))) for _, about in jobs}))
    raise DataError(
        f"{where} has no class{f' (it has: {kinds})' if kinds else ''}; expected Ground Truth's image "
        f"classification form, or a key class or label, like {_EXAMPLE}"
    )
