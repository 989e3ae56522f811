"""Images in a form: `multipart/form-data`, as browsers and `curl -F` send it."""

import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Final

from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

from serve import codec
from serve.bodies.batch import Batch, BatchItem, too_many
from serve.errors import RequestError

# The parser takes the body in small pieces and gives up when a part's headers are longer than two of them: it needs
# time that grows with their square.
_PIECE: Final = 8192
# Text fields beside the files, and how much of each is kept: an option is shorter.
_MOST_FIELDS: Final = 64
_LONGEST_FIELD: Final = 200
# The headers of a part with a file, as nearly every client writes them, where names have nothing that is escaped.
_FILE: Final = re.compile(
    rb'Content-Disposition: form-data; name="[\w.-]{1,80}"; filename="([\w. -]{1,200})"'
    rb"(?:\r\nContent-Type: [a-z]{1,20}/[\w.+-]{1,80})?",
    re.ASCII,
)
_LONGEST_HEAD: Final = 512
_CURL: Final = "send one with curl -F file=@dog.jpg"


def read_form(body: bytes, content_type: str, most: int) -> Batch:
    """The form's files in order, whatever their fields are called; its text fields are `fields`.

    Raises RequestError: 400 when it is malformed or has no file, 413 above `most` files.
    """
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary or not boundary.isascii() or len(boundary) > 200:
        raise RequestError(
            400, f"Content-Type names no boundary of up to 200 characters; let your HTTP library write it, or {_CURL}"
        )
    if plain := _plain(body, boundary.encode(), most):
        return _batch(plain, {})
    try:
        parts = _parts(body, boundary.encode(), most)
    except RequestError:
        raise
    except Exception as error:
        # The parser raises ValueError, UnicodeDecodeError, RequestEntityTooLarge and others on hostile bytes.
        raise RequestError(
            400,
            "the form is malformed or ends early, or its boundary isn't the one in Content-Type; "
            f"let your HTTP library write both, or {_CURL}",
        ) from error
    files: list[tuple[str, bytes]] = []
    fields: dict[str, str] = {}
    for part, content in parts:
        if isinstance(part, File) or part.headers.get("Content-Type", "").startswith("image/"):
            name = part.filename if isinstance(part, File) else part.name
            # A browser sends an empty part for a file field in which nothing was chosen.
            if name or content:
                files.append((name or "", content))
        else:
            fields[part.name or ""] = content[: _LONGEST_FIELD + 1].decode("utf-8", "replace")
    if not files:
        raise RequestError(400, f"the form has no file; {_CURL}")
    if len(files) > most:
        raise too_many(most)
    return _batch(files, fields)


def _batch(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str]) -> Batch:
    items = [
        BatchItem(f"file {number} ({name[:80]!r})", partial(codec.decode, content))
        for number, (name, content) in enumerate(files)
    ]
    return Batch(items, files=[name for name, _ in files], fields=fields)


def _plain(body: bytes, boundary: bytes, most: int) -> list[tuple[str, bytes]] | None:
    """The names and contents of a form of nothing but files under plain names, `most` at most; None of any other.

    The parser takes a tenth of a millisecond for a small photo, which is a third of what HTTP costs it in all.
    """
    delimiter = b"--" + boundary
    if not body.startswith(delimiter + b"\r\n"):
        return None
    files: list[tuple[str, bytes]] = []
    position = len(delimiter) + 2
    while True:
        head = body.find(b"\r\n\r\n", position, position + _LONGEST_HEAD)
        matched = _FILE.fullmatch(body, position, head) if head >= 0 else None
        end = body.find(delimiter, head + 4) if matched else -1
        # Where it isn't at a line's beginning, it is for the parser to say what that means.
        if matched is None or end < head + 6 or body[end - 2 : end] != b"\r\n" or len(files) == most:
            return None
        files.append((matched[1].decode(), body[head + 4 : end - 2]))
        position = end + len(delimiter) + 2
        follows = body[position - 2 : position]
        if follows != b"\r\n":
            return files if follows == b"--" and body[position:] in (b"", b"\r\n") else None


def _parts(body: bytes, boundary: bytes, most: int) -> list[tuple[File | Field, bytes]]:
    parser = MultipartDecoder(boundary, 2 * _PIECE + len(boundary))
    view = memoryview(body)
    parts: list[tuple[File | Field, bytearray]] = []
    position = 0
    while True:
        event = parser.next_event()
        if isinstance(event, NeedData):
            piece = bytes(view[position : position + _PIECE])
            parser.receive_data(piece or None)
            position += len(piece)
        elif isinstance(event, File | Field):
            if len(parts) == most + _MOST_FIELDS:
                raise RequestError(
                    413,
                    f"the form has more than {most} files, or more than {_MOST_FIELDS} fields beside them; "
                    "send fewer at once, or raise KENNEL_MAX_IMAGES",
                )
            parts.append((event, bytearray()))
        elif isinstance(event, Data):
            parts[-1][1].extend(event.data)
        elif isinstance(event, Epilogue):
            return [(part, bytes(content)) for part, content in parts]
