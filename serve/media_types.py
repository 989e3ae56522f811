"""Which request bodies are supported, and which response format a request asks for."""

import re
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from typing import Final

IMAGE_TYPES: Final = frozenset(
    f"image/{name}"
    for name in (
        "jpeg", "jpg", "pjpeg", "jpe", "jfif", "mpo", "png", "x-png", "apng", "webp", "gif", "bmp", "x-bmp",
        "x-ms-bmp", "x-windows-bmp", "tiff", "tif", "x-tiff",
    )
)  # fmt: skip
# Nothing is said of the content: no label, or one that means any image or any bytes.
UNLABELLED: Final = frozenset(("", "image/*", "application/x-image", "application/octet-stream", "binary/octet-stream"))
_JSON_LINES_TYPES: Final = (
    "application/jsonlines", "application/x-jsonlines", "application/jsonl", "application/x-jsonl",
    "application/x-ndjson", "application/ndjson",
)  # fmt: skip
_NAMES: Final = "image/jpeg, image/png, image/webp, image/gif, image/bmp, image/tiff"


class BodyKind(Enum):
    """How a request body holds its images. An IMAGE is one; the others may hold several."""

    IMAGE = "image"
    MULTIPART = "multipart/form-data"
    JSON = "application/json"
    JSON_LINES = "application/jsonlines"
    NPY = "application/x-npy"


_KINDS: Final = {
    **dict.fromkeys(IMAGE_TYPES | UNLABELLED, BodyKind.IMAGE),
    **dict.fromkeys(_JSON_LINES_TYPES, BodyKind.JSON_LINES),
    "multipart/form-data": BodyKind.MULTIPART,
    "application/json": BodyKind.JSON,
    "application/x-npy": BodyKind.NPY,
}


@dataclass(frozen=True)
class ResponseFormat:
    """One form of response: its media type, and the `format` parameter that tells JSON's forms apart."""

    media_type: str
    format: str

    def __str__(self) -> str:
        return f"{self.media_type};format={self.format}" if self in (PROBABILITIES, LIST) else self.media_type


PREDICTIONS: Final = ResponseFormat("application/json", "predictions")
PROBABILITIES: Final = ResponseFormat("application/json", "probabilities")
LIST: Final = ResponseFormat("application/json", "list")
CSV: Final = ResponseFormat("text/csv", "probabilities")
JSON_LINES: Final = ResponseFormat("application/jsonlines", "predictions")
NPY: Final = ResponseFormat("application/x-npy", "probabilities")
# By the values of the option `format`.
FORMATS_BY_NAME: Final = {
    "predictions": PREDICTIONS,
    "probabilities": PROBABILITIES,
    "list": LIST,
    "csv": CSV,
    "jsonlines": JSON_LINES,
    "npy": NPY,
}
RESPONSE_FORMATS: Final = tuple(FORMATS_BY_NAME.values())


def body_kind(header: str | None) -> BodyKind | None:
    """The kind of a body with this Content-Type; None for one that isn't supported.

    The label only says that images come; which format one has is read from its bytes.
    """
    return _KINDS.get((header or "").split(";", 1)[0].strip().lower())


def content_type_fault(header: str) -> str:
    """Why a Content-Type isn't supported and what to send instead, in one sentence."""
    kind = header.split(";", 1)[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return (
            "Content-Type application/x-www-form-urlencoded is what curl sends by default; "
            "add -H 'Content-Type: image/jpeg' to send an image, or the label of what you send"
        )
    return (
        f"Content-Type {kind[:100]!r} isn't supported; send the image file's bytes as {_NAMES}, "
        "application/x-image or application/octet-stream, or several images as multipart/form-data, "
        "application/json, application/jsonlines or application/x-npy"
    )


@dataclass(frozen=True)
class _Range:
    """One part of an Accept header. specificity: 0 for */*, 1 for type/*, 2 for both, 3 with format."""

    kind: str
    subtype: str
    format: str | None
    quality: float
    position: int

    @property
    def specificity(self) -> int:
        return (self.kind != "*") + (self.subtype != "*") + (self.format is not None)

    def matches(self, response_format: ResponseFormat) -> bool:
        kind, subtype = response_format.media_type.split("/")
        names_match = self.kind in ("*", kind) and self.subtype in ("*", subtype)
        return names_match and self.format in (None, response_format.format)


@lru_cache(maxsize=256)
def negotiate(accept: str | None, default: ResponseFormat = PREDICTIONS) -> ResponseFormat | None:
    """The response format that the Accept header prefers; None when it accepts none of them.

    The highest q wins; among equals the one named most exactly, then the one named first. `default` is used
    where the header leaves the choice open: when it is missing or says */*.
    """
    if accept is None or not accept.strip():
        return default
    ranges = [parsed for i, part in enumerate(_split(accept, ",")) if (parsed := _parse_range(part, i))]
    ranked = []
    for order, response_format in enumerate(RESPONSE_FORMATS):
        matching = [accepted for accepted in ranges if accepted.matches(response_format)]
        if not matching:
            continue
        best = max(matching, key=lambda accepted: (accepted.specificity, -accepted.position))
        if best.quality > 0:
            open_choice = best.specificity < 2 and response_format == default
            ranked.append(((-best.quality, -best.specificity, best.position, not open_choice, order), response_format))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _split(text: str, separator: str) -> list[str]:
    """Split outside of quoted strings."""
    return re.findall(rf'(?:[^{separator}"]|"(?:\\.|[^"\\])*"?)+', text)


def _parse_range(text: str, position: int) -> _Range | None:
    name, *parameters = (part.strip() for part in _split(text, ";"))
    name = "*/*" if name == "*" else name.lower()
    name = JSON_LINES.media_type if name in _JSON_LINES_TYPES else name
    match = re.fullmatch(r"([^/\s]+)/([^/\s]+)", name)
    if not match:
        return None
    values = {key.strip().lower(): value.strip() for key, _, value in (each.partition("=") for each in parameters)}
    try:
        quality = min(1.0, max(0.0, float(values.get("q", 1))))
    except ValueError:
        return None
    format_ = values["format"].strip('"').lower() if "format" in values else None
    return _Range(match[1], match[2], format_, quality, position)
