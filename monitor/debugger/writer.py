"""One step's tensors in smdebug's own file format, written at once.

smdebug writes them through a thread and a queue: an error of the disk ends the thread, and training then waits for it
for ever. And protobuf 3.20, which has no compiled part for Python 3.11, takes 0.3 ms for each of a step's thousand
values.
"""

import json
import struct
import time
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.debugger._smdebug import (
    CHECKSUM_MAGIC_BYTES,
    IndexFileLocationUtils,
    ModeKeys,
    TensorFileLocation,
    masked_crc32c,
)

# TensorFlow's numbers of the types that numpy has.
_TYPES: Final = {
    np.dtype(name): number
    for name, number in {
        "float32": 1, "float64": 2, "int32": 3, "uint8": 4, "int16": 5, "int8": 6, "complex64": 8, "int64": 9,
        "bool": 10, "uint16": 17, "complex128": 18, "float16": 19, "uint32": 22, "uint64": 23,
    }.items()
}  # fmt: skip
_BYTES: Final = 2  # protobuf's wire type of what has a length
_FOOTER: Final = struct.pack("<I", masked_crc32c(CHECKSUM_MAGIC_BYTES))  # smdebug's stand-in for a checksum


def _varint(number: int) -> bytes:
    if number < 0x80:
        return number.to_bytes()
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def _message(number: int, content: bytes) -> bytes:
    """Field `number` of a message, with its content."""
    return _varint(number << 3 | _BYTES) + _varint(len(content)) + content


@cache
def _header(length: int) -> bytes:
    packed = struct.pack("<Q", length)
    return packed + struct.pack("<I", masked_crc32c(packed))


@lru_cache(maxsize=16)
def _metadata(mode: int, mode_step: int) -> bytes:
    """Field metadata of Summary.Value: two plugin_data, each a plugin_name and a content."""
    entries = (("mode_step", mode_step), ("mode", mode))
    plugins = [_message(1, name.encode()) + _message(2, str(value).encode()) for name, value in entries]
    return _message(9, b"".join(_message(1, plugin) for plugin in plugins))


@lru_cache(maxsize=65_536)
def _tag_and_shape(name: str, kind: np.dtype[Any], shape: tuple[int, ...]) -> tuple[bytes, bytes]:
    """Field tag of Summary.Value, and the fields dtype and tensor_shape of TensorProto."""
    if kind not in _TYPES:
        raise ValueError(f"{name} has the type {kind}, which smdebug's files can't hold")
    sizes = [b"\x08" + _varint(size) + _message(2, f"{name}_{size}".encode()) for size in shape]
    tensor = b"\x08" + _varint(_TYPES[kind]) + _message(2, b"".join(_message(2, size) for size in sizes))
    return _message(1, name.encode()), tensor


def record(name: str, value: NDArray[Any], step: int, mode: int, mode_step: int, seconds: float) -> bytes:
    """An Event with one tensor, as a TFRecord. step: the global one; mode: a ModeKeys value; seconds: of its making."""
    tag, tensor = _tag_and_shape(name, value.dtype, value.shape)
    content = _message(8, tensor + _message(4, value.tobytes()))
    summary = _message(1, tag + content + _metadata(mode, mode_step))
    event = b"\x09" + struct.pack("<d", seconds) + b"\x10" + _varint(step) + _message(5, summary)
    return _header(len(event)) + event + _FOOTER


class StepFile:
    """Takes smdebug's FileWriter's place: event file and index of one step, on the disk when `close` returns."""

    def __init__(self, trial_dir: str, worker: str, step: int) -> None:
        self._step = step
        self._event_file = Path(TensorFileLocation(step, worker).get_file_location(trial_dir))
        self._index_file = Path(IndexFileLocationUtils.get_index_key_for_step(trial_dir, step, worker))
        self._records = bytearray()
        self._name = str(self._event_file.relative_to(trial_dir))
        self._meta: dict[str, Any] = {}
        self._tensors: list[dict[str, Any]] = []
        self._shapes: list[dict[str, Any]] = []

    def write_tensor(
        self, tdata: NDArray[Any], tname: str, mode: ModeKeys, mode_step: int, timestamp: float | None = None
    ) -> None:
        """Take a tensor up; its bytes are copied."""
        start = len(self._records)
        self._records += record(tname, tdata, self._step, mode.value, mode_step, timestamp or time.time())
        self._meta = {"mode": mode.name, "mode_step": mode_step, "event_file_name": self._name}
        self._tensors.append({"tensorname": tname, "start_idx": start, "length": len(self._records) - start})

    def write_shape(
        self, name: str, shape: tuple[int, ...], mode: ModeKeys, mode_step: int, original_name: str | None = None
    ) -> None:
        """Take up a tensor's shape alone."""
        self._meta = self._meta or {"mode": mode.name, "mode_step": mode_step}
        self._shapes.append({"tensorname": name, "originalname": original_name or name, "shape": list(shape)})

    def flush(self) -> None:
        """Nothing: half a step is of no use to readers."""

    def close(self) -> None:
        """Write event file and index, each whole or not at all; the index last: readers look there. Raises OSError."""
        if self._tensors:
            _write(self._event_file, bytes(self._records))
        if self._tensors or self._shapes:
            index = {"meta": self._meta, "tensor_payload": self._tensors, "shape_payload": self._shapes}
            _write(self._index_file, json.dumps(index).encode())
        self._records, self._tensors, self._shapes = bytearray(), [], []


def _write(file: Path, content: bytes) -> None:
    # No fsync: a step that a power cut takes is no loss, and it would cost training milliseconds each time.
    file.parent.mkdir(parents=True, exist_ok=True)
    temporary = file.with_name(file.name + ".tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(file)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
