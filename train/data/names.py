"""Names of files: which are no part of a data set, how they are shown, and a summary of a folder's files."""

import re
from collections import Counter
from collections.abc import Iterable
from typing import Final

IMAGE_SUFFIXES: Final = frozenset(("jpg", "jpeg", "jpe", "jfif", "png", "webp", "gif", "bmp", "tif", "tiff"))
EXPECTED: Final = (
    "expected one folder a class (like beagle/1.jpg), .tar or .zip archives with such folders or in WebDataset layout, "
    "an augmented manifest (.manifest, .jsonl) or a .lst file"
)
# Control characters, line ends and marks that change the direction of text.
_UNSAFE: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


def printable(name: str) -> str:
    """The name with what could break a line or steer a terminal written as an escape."""
    return _UNSAFE.sub(lambda match: match[0].encode("unicode_escape").decode(), name)


def hidden(name: str) -> bool:
    """Whether this file or folder is no part of a data set: hidden, or what macOS adds to a zip file."""
    return name.startswith((".", "__MACOSX"))


def member_path(raw: str) -> str | None:
    """An archive member's name as a relative path with forward slashes; None for what is no part of a data set."""
    parts = [part for part in raw.split("/") if part not in ("", ".", "..")]
    return None if not parts or any(hidden(part) for part in parts) else "/".join(parts)


def suffix(name: str) -> str:
    """The extension in lower case, without its dot; empty where there is none."""
    stem, dot, last = name.rpartition("/")[2].rpartition(".")
    return last.lower() if dot and stem else ""


def summary(paths: Iterable[str]) -> str:
    """The files in a few words: "3 .csv files and 2 folders of .txt files".

    paths: files as folder/file; an empty folder as "folder/".
    """
    files: Counter[str] = Counter()
    folders: dict[str, Counter[str]] = {}
    for path in paths:
        top, slash, rest = path.partition("/")
        if not slash:
            files[_kind(path)] += 1
            continue
        inside = folders.setdefault(top, Counter())
        if rest:
            inside[_kind(rest)] += 1
    kinds = Counter(f"of {inside.most_common(1)[0][0]}" if inside else "" for inside in folders.values())
    parts = [_count(number, kind) for kind, number in files.most_common(3)]
    if more := sum(files.values()) - sum(number for _, number in files.most_common(3)):
        parts.append(_count(more, "other files"))
    parts += [
        _count(number, f"folders {kind}" if kind else "empty folders", "folder")
        for kind, number in kinds.most_common(3)
    ]
    return " and ".join(filter(None, [", ".join(parts[:-1]), *parts[-1:]])) or "nothing"


def _kind(name: str) -> str:
    ending = suffix(name)
    return f".{printable(ending)} files" if ending else "files without extension"


def _count(number: int, things: str, thing: str = "file") -> str:
    """things: the plural, in which the singular `thing` is found with an s."""
    if number == 1:
        before, _, after = things.rpartition(f"{thing}s") if things.endswith("s") else things.partition(f"{thing}s")
        things = f"{before}{thing}{after}"
    return f"{number} {things}"
