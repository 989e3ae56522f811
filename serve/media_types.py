"""Which request bodies are taken, and which form of answer a request asks for."""

import re
from dataclasses import dataclass
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
_NAMES: Final = "image/jpeg, image/png, image/webp, image/gif, image/bmp, image/tiff"


@dataclass(frozen=True)
class Offer:
    """One form of answer: its media type, and the `format` parameter that tells two JSON forms apart."""

    media_type: str
    format: str

    def __str__(self) -> str:
        return f"{self.media_type};format={self.format}" if self == PROBABILITIES else self.media_type


PREDICTIONS: Final = Offer("application/json", "predictions")
PROBABILITIES: Final = Offer("application/json", "probabilities")
CSV: Final = Offer("text/csv", "probabilities")
OFFERS: Final = (PREDICTIONS, PROBABILITIES, CSV)


def content_type_fault(header: str | None) -> str | None:
    """Why a request body labelled so isn't taken, in one sentence; None when it is.

    The label only says that an image comes; which format it has is read from the bytes.
    """
    kind = (header or "").split(";")[0].strip().lower()
    if kind in IMAGE_TYPES or kind in UNLABELLED:
        return None
    if kind == "application/x-www-form-urlencoded":
        return (
            "Content-Type application/x-www-form-urlencoded is what curl sends by default; "
            "add -H 'Content-Type: image/jpeg' to send an image"
        )
    return (
        f"Content-Type {kind[:100]!r} isn't supported; send the image file's bytes as {_NAMES}, "
        "application/x-image or application/octet-stream"
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

    def matches(self, offer: Offer) -> bool:
        kind, subtype = offer.media_type.split("/")
        names_match = self.kind in ("*", kind) and self.subtype in ("*", subtype)
        return names_match and self.format in (None, offer.format)


def negotiate(accept: str | None, default: Offer = PREDICTIONS) -> Offer | None:
    """The offer that the Accept header likes best; None when it takes none of them.

    The highest q wins; among equals the one named most exactly, then the one named first. `default` is taken
    where the header leaves the choice open: when it is missing or says */*.
    """
    if accept is None or not accept.strip():
        return default
    ranges = [parsed for i, part in enumerate(_split(accept, ",")) if (parsed := _parse_range(part, i))]
    ranked = []
    for order, offer in enumerate(OFFERS):
        matching = [each for each in ranges if each.matches(offer)]
        if not matching:
            continue
        best = max(matching, key=lambda each: (each.specificity, -each.position))
        if best.quality > 0:
            open_choice = best.specificity < 2 and offer == default
            ranked.append(((-best.quality, -best.specificity, best.position, not open_choice, order), offer))
    return min(ranked, key=lambda pair: pair[0])[1] if ranked else None


def _split(text: str, separator: str) -> list[str]:
    """Split outside of quoted strings."""
    return re.findall(rf'(?:[^{separator}"]|"(?:\\.|[^"\\])*"?)+', text)


def _parse_range(text: str, position: int) -> _Range | None:
    name, *parameters = (part.strip() for part in _split(text, ";"))
    match = re.fullmatch(r"([^/\s]+)/([^/\s]+)", "*/*" if name == "*" else name.lower())
    if not match:
        return None
    quality, format_ = 1.0, None
    for parameter in parameters:
        key, _, value = (part.strip() for part in parameter.partition("="))
        if key.lower() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                return None
        elif key.lower() == "format":
            format_ = value.strip('"').lower()
    return _Range(match[1], match[2], format_, quality, position)
