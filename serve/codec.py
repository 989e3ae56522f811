"""Request body -> bytes -> pixels, and probabilities -> answer."""

import json
from typing import Any, Final, Protocol

from model.artifact import Artifact
from model.errors import ImageError, ImageTooLargeError
from model.preprocess import FORMATS, Preprocess
from serve.engines.base import FloatArray, UInt8Array
from serve.errors import RequestError
from serve.media_types import CSV, PREDICTIONS, Offer

TOP_K: Final = 5


class Body(Protocol):
    """A stream of a request's bytes; `read` waits until it has as many as asked for, or the end."""

    def read(self, size: int, /) -> bytes: ...


def read_body(stream: Body, length: int | None, limit: int) -> bytes:
    """The request body, whose announced `length` is None when it comes in chunks.

    Raises RequestError: 413 above `limit` bytes, 400 when it ends early, 408 when it stops coming.
    """
    too_large = RequestError(
        413,
        f"the request body is larger than the limit of {limit} bytes"
        + (f" (it has {length})" if length is not None else "")
        + "; send the image smaller, or raise SAGEMAKER_MAX_PAYLOAD_IN_MB",
    )
    if length is not None and length > limit:
        raise too_large
    try:
        body = stream.read(limit + 1 if length is None else length)
    except (TimeoutError, BlockingIOError) as error:
        raise RequestError(408, "the request body stopped coming; send it again") from error
    except Exception as error:
        # The server's parser has exceptions of its own for malformed chunks; the body is at fault.
        raise RequestError(400, "the request body ended early, or its chunks are malformed") from error
    if len(body) > limit:
        raise too_large
    if length is not None and len(body) < length:
        raise RequestError(400, f"the request body ended after {len(body)} of {length} bytes; send it again")
    return body


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
    """What bytes that are no readable image seem to be, in words; None when it can't be told."""
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
)


def top_predictions(probabilities: FloatArray, artifact: Artifact, k: int) -> list[dict[str, Any]]:
    """The k most probable classes (or all there are), best first. probabilities: shape (classes,)."""
    order = (-probabilities).argsort(kind="stable")[:k]
    return [
        {"label": artifact.labels[i], "index": int(i), "probability": _rounded(float(probabilities[i]))} for i in order
    ]


def encode(probabilities: FloatArray, artifact: Artifact, offer: Offer) -> bytes:
    """The answer for one image in the form of `offer`. probabilities: shape (classes,)."""
    if offer == PREDICTIONS:
        return dump_json({"predictions": top_predictions(probabilities, artifact, TOP_K)})
    values = [_rounded(float(value)) for value in probabilities]
    if offer == CSV:
        return (",".join(map(repr, values)) + "\n").encode()
    return dump_json(values)


def dump_json(value: Any) -> bytes:
    """One line of UTF-8. Lone surrogates, which UTF-8 can't hold, become question marks."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False).encode("utf-8", "replace") + b"\n"


def _rounded(value: float) -> float:
    """Nine significant digits: all that float32 arithmetic has, and half the bytes."""
    return float(f"{value:.9g}")
