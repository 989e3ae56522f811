"""An image file's bytes -> pixels, and probabilities -> the best classes; for the server and `serve.predict`."""

import json
from typing import Any, Final

from contract.errors import ImageError, ImageTooLargeError
from model.artifact import Artifact
from model.preprocess import FORMATS, Preprocess
from serve.engines.base import FloatArray, UInt8Array

TOP_K: Final = 5


def decode(data: bytes, preprocess: Preprocess) -> UInt8Array:
    """An image file's bytes as the network's input, uint8 of shape (image_size, image_size, 3).

    Raises ImageError for what can't be decoded, saying what it seems to be instead, and ImageTooLargeError.
    """
    try:
        return preprocess.load(data)
    except ImageTooLargeError:
        raise
    except ImageError as error:
        kind = recognise(data)
        if kind is None:
            raise
        raise ImageError(f"this is {kind}; the formats are {', '.join(FORMATS)}") from error


def recognise(data: bytes) -> str | None:
    """What bytes that are no readable image seem to be, in words; None when that can't be recognised."""
    head = data[:512].lstrip(b"\xef\xbb\xbf \t\r\n")
    if head[4:8] == b"ftyp":
        brand = head[8:12]
        if brand in (b"avif", b"avis"):
            return "an AVIF image, which isn't supported"
        if brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"):
            return "a HEIC image, which isn't supported"
        return "a video (MP4 or QuickTime)"
    lower = head.lower()
    if b"<svg" in lower:
        return "an SVG drawing, which isn't supported"
    for start, kind in _STARTS:
        if lower.startswith(start):
            return kind
    return None


_STARTS: Final = (
    (b"%pdf", "a PDF document, which isn't supported"),
    (b"<!doctype html", "an HTML page"),
    (b"<html", "an HTML page"),
    (b"{", "JSON, not an image"),
    (b"[", "JSON, not an image"),
    (b"data:image/", "a data URL, not an image"),
    # How the first bytes of a JPEG and a PNG look in base64.
    (b"/9j/", "base64 text, not an image"),
    (b"ivborw0kggo", "base64 text, not an image"),
    (b"\x1f\x8b", "gzip-compressed data"),
    (b"pk\x03\x04", "a ZIP archive"),
    (b"\x00\x00\x00\x0cjxl ", "a JPEG XL image, which isn't supported"),
    (b"\xff\x0a", "a JPEG XL image, which isn't supported"),
    (b"\x00\x00\x00\x0cjp  ", "a JPEG 2000 image, which isn't supported"),
    (b"--", "multipart form data, not an image"),
    (b"\x93numpy", "a NumPy file, not an image"),
)


def top_predictions(
    probabilities: FloatArray, artifact: Artifact, k: int, threshold: float = 0.0
) -> list[dict[str, Any]]:
    """The k most probable classes (or all there are) of at least `threshold`, best first.

    probabilities: shape (classes,).
    """
    best = (-probabilities).argsort(kind="stable")[:k].tolist()
    labels, values = artifact.labels, probabilities.tolist()
    # Nine significant digits: all that float32 arithmetic has, and half the bytes.
    return [
        {"label": labels[i], "index": i, "probability": float(f"{values[i]:.9g}")}
        for i in best
        if values[i] >= threshold
    ]


def dump_json(value: Any) -> bytes:
    """One line of UTF-8. Lone surrogates, which UTF-8 can't hold, become question marks."""
    return _ENCODER.encode(value).encode("utf-8", "replace") + b"\n"


_ENCODER: Final = json.JSONEncoder(ensure_ascii=False, allow_nan=False)
