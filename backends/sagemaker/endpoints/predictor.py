"""The SDK's Predictor for an endpoint of Kennel's: images in, labels out.

    from backends.sagemaker.endpoints.predictor import ImagePredictor

    predictor = ImagePredictor("kennel-first-1a2b3c")
    predictor.predict("dog.jpg")     # [{"label": "Beagle", "index": 2, "probability": 0.93}, ...]

It also does as `predictor_cls` of the SDK's Model, PyTorchModel and their like.
"""

import base64
import functools
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any, Final

from backends.sagemaker.sdk import sdk

ONE_IMAGE: Final = "application/octet-stream"
SEVERAL: Final = "application/json"
# Of a request's bytes: what an endpoint takes.
_LIMIT: Final = 6_291_456
_QUALITY: Final = 95


class ImageSerializer:
    """Whatever may be an image, as the bytes of an image file; a list of such as the JSON that the server takes.

    The server looks at the bytes, not at the label, so one label does for all formats.
    """

    CONTENT_TYPE: Final = ONE_IMAGE

    def serialize(self, data: Any) -> bytes:
        """data: bytes, a path, a PIL image, an array (uint8, RGB, (H, W, 3)), or a list of such. Raises ValueError."""
        if is_several(data):
            instances = [{"b64": base64.b64encode(to_bytes(each)).decode()} for each in data]
            return json.dumps({"instances": instances}).encode()
        return to_bytes(data)


class PredictionsDeserializer:
    """The server's JSON: of one image its predictions, of a list one such list an image; any other JSON as it is."""

    ACCEPT: Final = ("application/json",)

    def deserialize(self, stream: IO[bytes], _content_type: str) -> Any:
        """stream: closed afterwards."""
        try:
            value = json.load(stream)
        finally:
            stream.close()
        return value["predictions"] if isinstance(value, dict) and "predictions" in value else value


def is_several(data: Any) -> bool:
    """Whether it is a list of images, or an array of several."""
    if isinstance(data, str | bytes | bytearray | memoryview | os.PathLike) or _is_pil(data):
        return False
    return isinstance(data, Sequence) or getattr(data, "ndim", 0) == 4


def to_bytes(image: Any) -> bytes:
    """One image as the bytes of a file. Raises ValueError for what is none, OSError for a file that can't be read."""
    if isinstance(image, bytes | bytearray | memoryview):
        return bytes(image)
    if isinstance(image, str | os.PathLike):
        return Path(image).read_bytes()
    if _is_pil(image):
        return _encoded(image)
    if hasattr(image, "ndim") and hasattr(image, "dtype"):
        return _encoded(_from_array(image))
    raise ValueError(
        f"an image is bytes, a path, a PIL image or an array of shape (height, width, 3), got {type(image).__name__}"
    )


def _is_pil(image: Any) -> bool:
    return hasattr(image, "save") and hasattr(image, "convert")


def _from_array(array: Any) -> Any:
    from PIL import Image

    grey, colour = array.ndim == 2, array.ndim == 3 and array.shape[2] in (3, 4)
    if str(array.dtype) != "uint8" or not (grey or colour):
        raise ValueError(
            f"an array must be uint8 of shape (height, width, 3), red first, got {array.dtype} of shape {array.shape}"
        )
    return Image.fromarray(array)


def _encoded(image: Any) -> bytes:
    """As PNG, which loses nothing; as JPEG where that is too much for a request."""
    stored = image if image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else image.convert("RGB")
    file = io.BytesIO()
    stored.save(file, format="PNG", compress_level=1)
    if file.tell() > _LIMIT:
        file = io.BytesIO()
        stored.convert("RGB").save(file, format="JPEG", quality=_QUALITY, subsampling=0)
    return file.getvalue()


class _Images:
    """What ImagePredictor adds to the SDK's Predictor."""

    serializer: Any

    def __init__(self, endpoint_name: str, sagemaker_session: Any = None, **more: Any) -> None:
        more.setdefault("serializer", ImageSerializer())
        more.setdefault("deserializer", PredictionsDeserializer())
        super().__init__(endpoint_name, sagemaker_session, **more)  # type: ignore[call-arg]

    def predict(self, data: Any, initial_args: dict[str, Any] | None = None, **more: Any) -> Any:
        """The classes of one image, best first, as [{"label", "index", "probability"}, ...]; of a list of images such
        a list for each.

        data: bytes, a path, a PIL image, an array (uint8, RGB, (height, width, 3)), or a list of such. initial_args:
        as the SDK's, of InvokeEndpoint. Raises ValueError for what is no image, and what boto3 raises.
        """
        arguments = dict(initial_args or {})
        # Somebody's own serializer has a label of its own.
        if isinstance(self.serializer, ImageSerializer) and is_several(data):
            arguments["ContentType"] = SEVERAL
        return super().predict(data, arguments, **more)  # type: ignore[misc]


@functools.cache
def _image_predictor() -> Any:
    # Only now: the SDK takes two seconds to import.
    base = sdk("predictor").Predictor
    return type("ImagePredictor", (_Images, base), {"__doc__": __doc__, "__module__": __name__})


def __getattr__(name: str) -> Any:
    if name == "ImagePredictor":
        return _image_predictor()
    raise AttributeError(f"module {__name__} has no attribute {name}")
