"""Images in base64: JSON `{"instances": [...]}`, and JSON Lines with one image a line.

An image is `{"b64": "..."}` or the text alone; the text may be a data URL.
"""

import binascii
import io
import json
from functools import partial
from typing import Any, Final

from contract.errors import ImageError
from model.preprocess import Preprocess
from serve import codec
from serve.bodies.batch import Batch, BatchItem, too_many
from serve.engines.base import UInt8Array
from serve.errors import RequestError

_EXAMPLE: Final = '{"b64": "/9j/4AAQ..."}'
_BODY_EXAMPLE: Final = f'{{"instances": [{_EXAMPLE}]}}'
_URL_SAFE: Final = bytes.maketrans(b"-_", b"+/")


def read_json(body: bytes, most: int) -> Batch:
    """The images of a JSON body. Raises RequestError: 400 for another shape, 413 above `most` images; or ImageError."""
    # Millions of empty objects would take twenty times the body's bytes; base64 has no brackets.
    if body.count(b"{") + body.count(b"[") > 4 * most + 64:
        raise RequestError(
            413, f"the JSON has more objects and lists than {most} images take; send fewer at once, each as {_EXAMPLE}"
        )
    value = _parse(body, "the body", _BODY_EXAMPLE)
    if not isinstance(value, dict) or not isinstance(value.get("instances"), list):
        raise RequestError(400, f"the JSON must be like {_BODY_EXAMPLE}, got {_shape(value)}")
    # TensorFlow Serving's clients name a signature.
    unknown = sorted(set(value) - {"instances", "signature_name"})
    if unknown:
        raise RequestError(
            400,
            f"the JSON has an unknown key {unknown[0][:40]!r} beside instances; "
            "options belong in the query, as in /invocations?top_k=3",
        )
    instances = value["instances"]
    if not instances:
        raise RequestError(400, f"the JSON's instances are empty; send {_BODY_EXAMPLE}")
    if len(instances) > most:
        raise too_many(most)
    return Batch([BatchItem(f"instances[{i}]", partial(_load, instance)) for i, instance in enumerate(instances)])


def read_json_lines(body: bytes, most: int) -> Batch:
    """The images of JSON Lines; blank lines don't count. Raises RequestError: 400 without any, 413 above `most`."""
    items = []
    for number, line in enumerate(io.BytesIO(body.removeprefix(b"\xef\xbb\xbf")), 1):
        if line.strip():
            items.append(BatchItem(f"line {number}", partial(_load_line, line)))
            if len(items) > most:
                raise too_many(most)
    if not items:
        raise RequestError(400, f"the body has no line; send one like {_EXAMPLE} for each image")
    return Batch(items)


def _load_line(line: bytes, preprocess: Preprocess) -> UInt8Array:
    return _load(_parse(line, "it", _EXAMPLE), preprocess)


def _load(instance: Any, preprocess: Preprocess) -> UInt8Array:
    text = instance.get("b64") if isinstance(instance, dict) and len(instance) == 1 else instance
    if not isinstance(text, str):
        raise ImageError(f"it must be like {_EXAMPLE}, got {_shape(instance)}")
    return codec.decode(_decode(text), preprocess)


def _decode(text: str) -> bytes:
    if text[:5].lower() == "data:":
        head, _, text = text.partition(",")
        if not head.lower().endswith(";base64"):
            raise ImageError("the data URL isn't in base64; it must begin like data:image/jpeg;base64,")
    try:
        # base64 is often wrapped into lines, and in its URL-safe form not padded.
        data = text.encode("ascii").translate(_URL_SAFE, b" \t\r\n")
        return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)
    except UnicodeEncodeError:
        raise ImageError("its base64 has characters that aren't ASCII; encode the image file's bytes again") from None
    except ValueError as error:
        raise ImageError(f"its base64 is broken ({error}); encode the image file's bytes again") from None


def _parse(text: bytes, what: str, example: str) -> Any:
    """The JSON's value. what, example: for the message of the ImageError that it raises."""
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        fault = f"{error.msg} at line {error.lineno}, column {error.colno}"
    except UnicodeDecodeError:
        fault = "it isn't UTF-8"
    except (ValueError, RecursionError):
        fault = "a number is too long, or it is nested too deeply"
    raise ImageError(f"{what} is no valid JSON ({fault}); send {example}")


def _shape(value: Any) -> str:
    """What a value is, in a few words."""
    if isinstance(value, dict):
        keys = ", ".join(repr(key[:40]) for key in list(value)[:5])
        return f"an object with the keys {keys}" if keys else "an empty object"
    names = {list: "a list", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")
