"""Several images in one request, as servers of Kennel take them: the form that holds them, and what comes back."""

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backends.transform.connection import Answer

# What HTTP costs is nothing beside the decoding of images that are larger than this together.
_MOST_BYTES: Final = 1024 * 1024
_BOUNDARY: Final = secrets.token_hex(16)
CONTENT_TYPE: Final = f"multipart/form-data; boundary={_BOUNDARY}"


def groups(sizes: Mapping[int, int], limit: int) -> Iterator[list[int]]:
    """Which images go together, in order. sizes: bytes by the image's number. limit: the largest body, in bytes.

    An image that is too large for company comes alone, whatever the limit.
    """
    group: list[int] = []
    total = 0
    for number, size in sizes.items():
        # The form itself takes less than 200 bytes an image.
        if group and total + size + 200 * (len(group) + 2) > min(limit, _MOST_BYTES):
            yield group
            group, total = [], 0
        group.append(number)
        total += size
    if group:
        yield group


def form(images: Sequence[bytes]) -> bytes:
    """A body of CONTENT_TYPE with the images, in order."""
    pieces = []
    for number, image in enumerate(images):
        head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="{number}"\r\n\r\n'
        pieces += [head.encode(), image, b"\r\n"]
    return b"".join((*pieces, f"--{_BOUNDARY}--\r\n".encode()))


def parts_of(answer: Answer, count: int, all_classes: int | None) -> list[Any] | None:
    """What a server says of each of `count` images; None when it doesn't, and each has to be asked for alone.

    all_classes: how many probabilities there have to be; None for the best predictions.
    """
    try:
        value = json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        return None
    if all_classes is None:
        value = value.get("predictions") if isinstance(value, dict) else None
    if not isinstance(value, list) or len(value) != count:
        return None
    good = all(isinstance(each, list) and all_classes in (None, len(each)) for each in value)
    return value if good else None
