"""Image bytes -> the uint8 array a network takes. Training, evaluation and serving all go through here.

Normalisation isn't here: it is the network's first layer (`model.network`), so an engine takes uint8.
"""

import io
import math
import re
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from PIL import (
    BmpImagePlugin,
    ExifTags,
    GifImagePlugin,
    Image,
    ImageFile,
    JpegImagePlugin,
    PngImagePlugin,
    TiffImagePlugin,
    UnidentifiedImageError,
    WebPImagePlugin,
)

from contract.errors import ArtifactError, ImageError, ImageTooLargeError

# What torchvision's ImageNet weights were trained with.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# 100 megapixels: above any phone's camera, below what a decompression bomb needs (300 MB as RGB).
MAX_PIXELS = 100_000_000

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")

# Imported here: when Pillow looks for one that isn't, it imports the code for all its 40 formats, in the middle of
# somebody's request.
PLUGINS = (JpegImagePlugin, PngImagePlugin, WebPImagePlugin, GifImagePlugin, BmpImagePlugin, TiffImagePlugin)

# As libtiff allows. Cameras and programs make about ten.
MAX_SCANS = 100

_JPEGS = ("JPEG", "MPO")
# What begins a JPEG's segment: neither data (FF 00), nor a restart within it, nor a marker without content.
_MARKER = re.compile(rb"\xff[\x02-\xcf\xd9-\xfe]")
_END_OF_IMAGE, _START_OF_SCAN = 0xD9, 0xDA

# Pixels converted at once: of the whole, copies in all the modes between would take gigabytes.
_BAND_PIXELS = 1 << 20

# Kennel's own limit replaces Pillow's, which would warn at 89 and fail at 179 megapixels.
Image.MAX_IMAGE_PIXELS = None

# Pillow warns of odd metadata (corrupt EXIF, say); the pixels decide here. Once and for all threads:
# warnings.catch_warnings is not thread-safe.
warnings.filterwarnings("ignore", module=r"PIL\.")

UInt8Array = NDArray[np.uint8]


def decode(source: bytes | Path, min_size: int | None = None, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """Decode one image, upright (EXIF orientation applied), as RGB.

    source: the encoded bytes, or a file. Animations give their first frame, transparent pixels lie on white.
    min_size: when given, a JPEG may be decoded at a reduced size (1/2, 1/4, 1/8) whose shorter side has at
        least this many pixels; other formats ignore it.
    Raises ImageError when it can't be decoded whole, ImageTooLargeError above `max_pixels`.
    """
    if isinstance(source, bytes) and not source:
        raise ImageError("the image is empty (0 bytes); send the bytes of an image file")
    try:
        file = io.BytesIO(source) if isinstance(source, bytes) else source
        with Image.open(file, formats=FORMATS) as image:
            if image.width * image.height > max_pixels:
                raise ImageTooLargeError(
                    f"the image has {image.width} x {image.height} pixels, more than the limit of "
                    f"{max_pixels}; send it smaller"
                )
            _refuse_traps(image, max_pixels)
            if min_size is not None and image.format in _JPEGS:
                _draft(image, min_size)
            image.load()
            return _to_rgb(_upright(image))
    except ImageError:
        raise
    except UnidentifiedImageError:
        raise ImageError(f"not an image that can be read; the formats are {', '.join(FORMATS)}") from None
    except Exception as error:
        # Pillow's plugins raise nearly anything on hostile bytes: struct.error, SyntaxError, IndexError ...
        raise ImageError(f"the image is broken or truncated ({error})") from error


def _refuse_traps(image: ImageFile.ImageFile, max_pixels: int) -> None:
    """Images that take far more time or memory than their size suggests. Raises ImageError."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        # libtiff decodes whole tiles, of whatever size, for an image of a few pixels.
        width, height = (image.tag_v2.get(tag, 0) for tag in (ExifTags.Base.TileWidth, ExifTags.Base.TileLength))
        if width * height > max_pixels:
            raise ImageTooLargeError(
                f"the image's tiles have {width} x {height} pixels, more than the limit of {max_pixels}; save it anew"
            )
    elif image.format in _JPEGS and image.fp is not None:
        image.fp.seek(0)
        # Each scan of some bytes goes through all pixels. The count is of any two such bytes, so at least of the scans.
        data = image.fp.read()
        if data.count(b"\xff\xda") > MAX_SCANS and _scans(data) > MAX_SCANS:
            raise ImageError(f"the image is a JPEG of more than {MAX_SCANS} scans, which no camera makes; save it anew")


def _scans(data: bytes) -> int:
    """How many scans the first picture of a JPEG has, counted no further than needed."""
    scans, at = 0, 2
    while scans <= MAX_SCANS and (marker := _MARKER.search(data, at)):
        code, at = marker[0][-1], marker.end()
        if code == _END_OF_IMAGE:
            break
        scans += code == _START_OF_SCAN
        at += int.from_bytes(data[at : at + 2], "big")
    return scans


def _draft(image: Image.Image, min_size: int) -> None:
    """Let libjpeg decode at the smallest of 1/1, 1/2, 1/4, 1/8 whose shorter side is at least `min_size`."""
    scale = max(1.0, min(image.width, image.height) / min_size)
    mode = image.mode if image.mode in ("L", "RGB") else None
    if mode is not None:
        image.draft(mode, (math.ceil(image.width / scale), math.ceil(image.height / scale)))


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation)
    except Exception:  # noqa: BLE001 - corrupt metadata makes Pillow raise SyntaxError and others; the pixels count
        return image
    method = _ORIENTATIONS.get(orientation)
    return image if method is None else image.transpose(method)


# The EXIF standard's orientations 2 to 8, and what turns each upright.
_ORIENTATIONS: dict[object, Image.Transpose] = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode.startswith("I;16") or image.mode in ("I", "F"):
        white = _white_level(image)
        return _in_bands(image, lambda band: _scale_to_8_bit(band, white))
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa") or "transparency" in image.info:
        return _in_bands(image, _on_white)
    return image.convert("RGB")


def _in_bands(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """What `convert` makes of the image, in RGB, some rows at a time."""
    rows = max(1, _BAND_PIXELS // image.width)
    if rows >= image.height:
        return convert(image).convert("RGB")
    result = Image.new("RGB", image.size)
    for top in range(0, image.height, rows):
        band = image.crop((0, top, image.width, min(top + rows, image.height)))
        result.paste(convert(band).convert("RGB"), (0, top))
    return result


def _on_white(image: Image.Image) -> Image.Image:
    rgba = image.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", rgba.size, (255, 255, 255, 255)), rgba)


def _white_level(image: Image.Image) -> float:
    """Which value of 16-bit, 32-bit or float grey is white."""
    if image.mode not in ("I", "F"):
        return 65535.0
    top = cast("float", image.getextrema()[1])
    if image.mode == "F":
        return 1.0 if top <= 1.0 else 255.0
    return 255.0 if top <= 255.0 else 65535.0


def _scale_to_8_bit(image: Image.Image, white: float) -> Image.Image:
    """Pillow's own convert clips at 255, which turns photos white."""
    values = np.asarray(image).astype(np.float64)
    return Image.fromarray(np.clip(np.rint(values * (255.0 / white)), 0, 255).astype(np.uint8))


@dataclass(frozen=True)
class Preprocess:
    """How an image becomes a network's input, as stored in the artifact.

    The shorter side is resized to `resize_size` pixels and the centre `image_size` x `image_size` is cropped,
    in one resampling step (`resize(box=...)`), antialiased. `mean` and `std` are per channel, of pixels in
    [0, 1]; the network's first layer applies them.
    """

    image_size: int = 224
    resize_size: int = 256
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    interpolation: str = "bilinear"

    @classmethod
    def for_size(cls, image_size: int) -> "Preprocess":
        """ImageNet's usual proportion: resize to 256 / 224 of the crop."""
        return cls(image_size=image_size, resize_size=round(image_size * 256 / 224))

    @property
    def decode_size(self) -> int:
        """Shorter side in pixels that decoding must keep: twice the target, for resampling to stay close."""
        return 2 * self.resize_size

    def load(self, source: bytes | Path) -> UInt8Array:
        """Decode and preprocess one image. Shape (image_size, image_size, 3). Raises ImageError."""
        return self(decode(source, min_size=self.decode_size))

    def __call__(self, image: Image.Image) -> UInt8Array:
        """Resize and crop an RGB image. Returns uint8 of shape (image_size, image_size, 3)."""
        side = min(image.size) * self.image_size / self.resize_size
        left, top = (image.width - side) / 2, (image.height - side) / 2
        return self.crop(image, (left, top, left + side, top + side))

    def crop(self, image: Image.Image, box: tuple[float, float, float, float]) -> UInt8Array:
        """Resample the box (left, top, right, bottom, in pixels) to (image_size, image_size, 3), uint8."""
        method = Image.Resampling[self.interpolation.upper()]
        # Rounding can put an edge a hair outside the image, which Pillow refuses.
        left, top = max(0.0, box[0]), max(0.0, box[1])
        right, bottom = min(float(image.width), box[2]), min(float(image.height), box[3])
        size = (self.image_size, self.image_size)
        return np.array(image.resize(size, method, box=(left, top, right, bottom)), dtype=np.uint8)

    def to_dict(self) -> dict[str, Any]:
        """As JSON-ready values, for the artifact's manifest."""
        values = asdict(self)
        return {**values, "mean": list(self.mean), "std": list(self.std)}

    @classmethod
    def from_dict(cls, values: Any) -> "Preprocess":
        """The inverse of `to_dict`. Raises ArtifactError naming what is missing, unknown or out of range."""
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ArtifactError(
                f"preprocessing must have the fields {sorted(cls.__dataclass_fields__)}, got {values!r}"
            )
        for name in ("image_size", "resize_size"):
            if type(values[name]) is not int or not 1 <= values[name] <= 4096:
                raise ArtifactError(f"preprocessing: {name} must be an integer from 1 to 4096, got {values[name]!r}")
        if values["resize_size"] < values["image_size"]:
            raise ArtifactError("preprocessing: resize_size must not be smaller than image_size")
        if values["interpolation"] not in ("bilinear", "bicubic"):
            raise ArtifactError(
                f"preprocessing: interpolation must be bilinear or bicubic, got {values['interpolation']!r}"
            )
        mean, std = _three(values, "mean"), _three(values, "std")
        if min(std) <= 0:
            raise ArtifactError(f"preprocessing: std must be above 0, got {values['std']!r}")
        return cls(values["image_size"], values["resize_size"], mean, std, values["interpolation"])


def _three(values: dict[str, Any], name: str) -> tuple[float, float, float]:
    numbers = values[name]
    ok = isinstance(numbers, list) and len(numbers) == 3
    if not ok or not all(isinstance(n, int | float) and math.isfinite(n) for n in numbers):
        raise ArtifactError(f"preprocessing: {name} must be three finite numbers, got {numbers!r}")
    return (float(numbers[0]), float(numbers[1]), float(numbers[2]))
