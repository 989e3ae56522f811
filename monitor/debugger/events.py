"""One record of an event file -> its tensor.

smdebug's own reader decodes with protobuf 3.20, which runs in pure Python on Python 3.11 and later: half a second for
a step of ResNet-18 saved as reductions. This one reads the few fields that smdebug writes and leaves the rest to it.

A record is uint64 length, uint32 checksum, payload, uint32 checksum (TFRecord); the payload is an Event message.
Field numbers: tensorflow/core/util/event.proto, summary.proto, tensor.proto and tensor_shape.proto.
"""

import struct
from collections.abc import Iterator
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from monitor.debugger._smdebug import TensorReader

# tensorflow/core/framework/types.proto
_DTYPES: Final[dict[int, Any]] = {
    1: np.float32, 2: np.float64, 3: np.int32, 4: np.uint8, 6: np.int8, 9: np.int64, 10: np.bool_, 17: np.uint16,
    19: np.float16, 22: np.uint32, 23: np.uint64,
}  # fmt: skip
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


def decode(record: bytes) -> NDArray[Any] | None:
    """The tensor; None if the record is damaged."""
    try:
        value = _decode(_payload(record))
        return np.asarray(read_tensor(record)) if value is None else value
    except Exception:  # noqa: BLE001 - whatever smdebug or numpy make of damaged bytes
        return None


def wall_time(record: bytes) -> float | None:
    """When the record was written: seconds since the epoch."""
    try:
        found = [value for field, value in _fields(_payload(record)) if field == 1]
        return float(struct.unpack("<d", found[0])[0]) if found else None
    except (ValueError, IndexError, struct.error, TypeError):
        return None


def _payload(record: bytes) -> bytes:
    (length,) = struct.unpack_from("<Q", record)
    payload = record[12 : 12 + length]
    if len(payload) != length:
        raise ValueError("the record is cut off")
    return payload


def _fields(message: bytes) -> Iterator[tuple[int, Any]]:
    """(number, value) of each field: an int, or bytes."""
    position, end = 0, len(message)
    while position < end:
        key, position = _varint(message, position)
        wire = key & 7
        value: Any
        if wire == _VARINT:
            value, position = _varint(message, position)
        elif wire == _BYTES:
            length, position = _varint(message, position)
            value, position = message[position : position + length], position + length
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, position = message[position : position + size], position + size
        else:
            raise ValueError(f"wire type {wire}")
        yield key >> 3, value


def _varint(message: bytes, position: int) -> tuple[int, int]:
    byte = message[position]
    if byte < 128:
        return byte, position + 1
    value, shift = byte & 127, 7
    while byte >= 128:
        position += 1
        byte = message[position]
        value |= (byte & 127) << shift
        shift += 7
    return value, position + 1


def _inner(message: bytes, number: int) -> bytes:
    for field, value in _fields(message):
        if field == number:
            return bytes(value)
    raise ValueError(f"no field {number}")


def _decode(event: bytes) -> NDArray[Any] | None:
    """Event.summary.value[0].tensor; None where it isn't stored as plain content."""
    tensor = _inner(_inner(_inner(event, 5), 1), 8)
    dtype, shape, content = 0, [], None
    for field, value in _fields(tensor):
        if field == 1:
            dtype = value
        elif field == 2:
            shape = [_size(dim) for number, dim in _fields(value) if number == 2]
        elif field == 4:
            content = value
    if content is None or dtype not in _DTYPES:
        return None
    return np.frombuffer(content, _DTYPES[dtype]).reshape(shape)


def _size(dim: bytes) -> int:
    for field, value in _fields(dim):
        if field == 1:
            return int(value)
    return 0


def read_tensor(record: bytes) -> Any:
    """The tensor in a record of an event file, as smdebug reads it."""
    return next(iter(TensorReader(record).read_tensors()))[2]
