"""Request bodies with several images, made by hand, and pictures whose answer is known by arithmetic."""

import base64
import io
import json
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tests.serve.conftest import encoded

# The toy engine answers (c + 1) / sum: 100, 50 and 50 of 200.
RED, GREEN, BLUE = (99, 49, 49), (49, 99, 49), (49, 49, 99)
ROWS = {RED: [0.5, 0.25, 0.25], GREEN: [0.25, 0.5, 0.25], BLUE: [0.25, 0.25, 0.5]}
BOUNDARY = "kennel-boundary"
FORM = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
JSON = {"Content-Type": "application/json"}
LINES = {"Content-Type": "application/jsonlines"}
NPY = {"Content-Type": "application/x-npy"}


def flat(colour: tuple[int, int, int], width: int = 40, height: int = 30) -> bytes:
    return encoded(Image.new("RGB", (width, height), colour), "PNG")


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def instances(*images: bytes) -> bytes:
    return json.dumps({"instances": [{"b64": b64(image)} for image in images]}).encode()


def lines(*images: bytes) -> bytes:
    return b"".join(json.dumps({"b64": b64(image)}).encode() + b"\n" for image in images)


def part(content: bytes, name: str = "file", filename: str | None = None, kind: str = "") -> bytes:
    head = f'Content-Disposition: form-data; name="{name}"'
    head += "" if filename is None else f'; filename="{filename}"'
    head += f"\r\nContent-Type: {kind}" if kind else ""
    return f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + content + b"\r\n"


def form(files: Sequence[tuple[str, bytes]], fields: Mapping[str, str] | None = None) -> bytes:
    parts = [part(content, f"field{i}", name, "image/png") for i, (name, content) in enumerate(files)]
    parts += [part(value.encode(), name) for name, value in (fields or {}).items()]
    return b"".join(parts) + f"--{BOUNDARY}--\r\n".encode()


def npy(array: NDArray[np.generic]) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array, allow_pickle=False)
    return stream.getvalue()


def pixels(*colours: tuple[int, int, int], height: int = 30, width: int = 40) -> NDArray[np.uint8]:
    """Shape (N, height, width, 3)."""
    rows = np.array(colours, dtype=np.uint8)[:, np.newaxis, np.newaxis]
    return np.ascontiguousarray(np.broadcast_to(rows, (len(colours), height, width, 3)))
