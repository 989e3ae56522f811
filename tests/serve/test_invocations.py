"""POST /invocations as a caller sees it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from serve.media_types import IMAGE_TYPES, UNLABELLED
from tests.serve.conftest import Toy, encoded, photo
from tests.serve.engines import toy_probabilities
from tests.serve.process import Served


def expected(toy: Toy, body: bytes) -> list[float]:
    """The toy engine's arithmetic on the pixels that model.preprocess gives."""
    return [float(p) for p in toy_probabilities(toy.preprocess.load(body)[np.newaxis])[0]]


def test_default_answer_is_the_best_predictions(toy: Toy, toy_server: Served) -> None:
    body = encoded(photo(1, colour=2))
    answer = toy_server.invoke(body)
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["vary"] == "Accept"
    assert list(answer.json) == ["predictions"]
    found = answer.json["predictions"]
    assert [set(each) for each in found] == [{"label", "index", "probability"}] * 3
    assert [each["probability"] for each in found] == sorted((each["probability"] for each in found), reverse=True)
    assert found[0]["label"] == "Blue dog"
    wanted = expected(toy, body)
    for each in found:
        assert each["label"] == ("Red dog", "Green dog", "Blue dog")[each["index"]]
        assert each["probability"] == pytest.approx(wanted[each["index"]], rel=1e-8)


def test_all_probabilities_in_class_order(toy: Toy, toy_server: Served) -> None:
    body = encoded(photo(2))
    csv = toy_server.invoke(body, Accept="text/csv")
    assert csv.headers["content-type"] == "text/csv; charset=utf-8"
    assert csv.body.index(b"\n") == len(csv.body) - 1
    assert [float(x) for x in csv.body.decode().split(",")] == pytest.approx(expected(toy, body), rel=1e-8)
    bare = toy_server.invoke(body, Accept="application/json;format=probabilities")
    assert bare.headers["content-type"] == "application/json"
    assert bare.json == pytest.approx(expected(toy, body), rel=1e-8)


@pytest.mark.parametrize("format", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF"])
def test_formats(toy: Toy, toy_server: Served, format: str) -> None:
    body = encoded(photo(3), format)
    wanted = expected(toy, body)
    # The content decides: a wrong label, a vague one and none at all are all the same.
    labels = (f"image/{format.lower()}", "image/png", "application/x-image", "application/octet-stream")
    for headers in [*({"Content-Type": label} for label in labels), {}]:
        answer = toy_server.request("POST", "/invocations", body, {**headers, "Accept": "text/csv"})
        assert answer.status == 200
        assert [float(x) for x in answer.body.decode().split(",")] == pytest.approx(wanted, rel=1e-8)


def test_every_image_label_is_taken(toy_server: Served) -> None:
    labels = sorted(IMAGE_TYPES | UNLABELLED)
    assert len(labels) == 23
    body = encoded(photo(3))
    statuses = {label: toy_server.invoke(body, Content_Type=label).status for label in labels}
    assert statuses == dict.fromkeys(labels, 200)
    assert toy_server.invoke(body, Content_Type="Image/JPEG; charset=binary").status == 200


def kinds() -> dict[str, bytes]:
    """The same picture in every mode that people send; unlike the plain ones, none of them is lossy here."""
    plain = photo(4).convert("RGB")
    opaque = plain.copy()
    opaque.putalpha(255)
    sideways = plain.transpose(Image.Transpose.ROTATE_90)
    exif = Image.Exif()
    exif[0x0112] = 6  # rotate by 90 degrees clockwise to see it upright
    return {
        "upright": encoded(plain, "PNG"),
        "rgba": encoded(opaque, "PNG"),
        "rotated by exif": encoded(sideways, "PNG", exif=exif),
        "webp": encoded(plain, "WEBP", lossless=True),
        "animated webp": encoded(plain, "WEBP", lossless=True, save_all=True, append_images=[photo(9, colour=2)]),
        "tiff": encoded(plain, "TIFF", compression="tiff_lzw"),
    }


@pytest.mark.parametrize("kind", list(kinds()))
def test_kinds_of_the_same_picture(toy: Toy, toy_server: Served, kind: str) -> None:
    answer = toy_server.invoke(kinds()[kind], Accept="text/csv")
    wanted = expected(toy, kinds()["upright"])
    assert [float(x) for x in answer.body.decode().split(",")] == pytest.approx(wanted, rel=1e-8)


def test_exif_rotated_jpeg(toy_server: Served) -> None:
    upright = photo(6, 64, 64)
    exif = Image.Exif()
    exif[0x0112] = 8  # rotate by 90 degrees anticlockwise to see it upright
    rotated = encoded(upright.transpose(Image.Transpose.ROTATE_270), quality=100, subsampling=0, exif=exif)
    plain = encoded(upright, quality=100, subsampling=0)
    ignored = encoded(upright.transpose(Image.Transpose.ROTATE_270), quality=100, subsampling=0)
    found = [toy_server.invoke(body, Accept="application/json;format=probabilities").json
             for body in (rotated, plain, ignored)]  # fmt: skip
    assert found[0] == pytest.approx(found[1], abs=1e-3)
    assert found[2] != pytest.approx(found[1], abs=1e-3)


def flat(mode: str, value: object, format: str, **options: object) -> bytes:
    return encoded(Image.new(mode, (40, 40), value), format, **options)  # type: ignore[arg-type]


def transparent_palette() -> bytes:
    image = Image.new("P", (40, 40), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    return encoded(image, "PNG", transparency=0)


def sixteen_bit(value: int, format: str) -> bytes:
    return encoded(Image.fromarray(np.full((40, 40), value, np.uint16)), format)


# Worked out by hand: the colour that a person sees, and the toy engine's (c + 1) / sum.
COLOURS = {
    "grey JPEG": (flat("L", 100, "JPEG"), (100, 100, 100)),
    "bilevel PNG": (flat("1", 1, "PNG"), (255, 255, 255)),
    "palette": (flat("P", 0, "GIF"), (0, 0, 0)),
    "transparent palette on white": (transparent_palette(), (255, 255, 255)),
    "half transparent red on white": (flat("RGBA", (255, 0, 0, 128), "PNG"), (255, 127, 127)),
    "16-bit PNG": (sixteen_bit(32768, "PNG"), (128, 128, 128)),
    "16-bit TIFF": (sixteen_bit(65535, "TIFF"), (255, 255, 255)),
    "CMYK JPEG, full cyan": (flat("CMYK", (255, 0, 0, 0), "JPEG", quality=95), (0, 255, 255)),
    "progressive JPEG": (flat("RGB", (200, 100, 50), "JPEG", progressive=True, quality=95), (200, 100, 50)),
}


@pytest.mark.parametrize("kind", list(COLOURS))
def test_unusual_pixels(toy_server: Served, kind: str) -> None:
    body, colour = COLOURS[kind]
    found = [float(x) for x in toy_server.invoke(body, Accept="text/csv").body.decode().split(",")]
    total = sum(colour) + 3
    # One grey level of 255 moves a share by less than 0.01.
    assert found == pytest.approx([(c + 1) / total for c in colour], abs=0.01)


def test_animated_gif_gives_its_first_frame(toy_server: Served) -> None:
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("#00ff00", "#ff0000")]
    body = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=100)
    assert toy_server.invoke(body).json["predictions"][0]["label"] == "Green dog"


def test_truncated_and_broken_images(toy_server: Served) -> None:
    whole = encoded(photo(5, 400, 300))
    for body, reason in [
        (whole[: len(whole) // 2], "broken or truncated"),
        (b"", "empty"),
        (b"hello", "not an image"),
        (b"\xff\xd8\xff\xe0" + bytes(100), ""),
        (b"%PDF-1.7 ...", "PDF"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypavif\0\0\0\0mif1avif", "AVIF"),
        (b'{"instances": []}', "label it Content-Type: application/json"),
        (b"--x\r\n", "label it Content-Type: multipart/form-data"),
        (b"\x93NUMPY\x01\0", "label it Content-Type: application/x-npy"),
        (b"data:image/jpeg;base64,/9j/4AAQ", "data URL"),
    ]:
        answer = toy_server.invoke(body)
        assert answer.status == 400, body[:20]
        assert reason in answer.error
        # No path of ours.
        assert "/" not in answer.error.split("; if it holds images")[0], answer.error


def test_too_many_pixels(toy_server: Served) -> None:
    # 120 million black pixels are 15 kB as a PNG.
    buffer = BytesIO()
    Image.new("1", (12_000, 10_000)).save(buffer, "PNG")
    answer = toy_server.invoke(buffer.getvalue())
    assert answer.status == 413
    assert "12000 x 10000 pixels" in answer.error


def test_wrong_content_types(toy_server: Served) -> None:
    body = encoded(photo(1))
    for label in (
        "text/csv",
        "application/x-recordio",
        "multipart/mixed; boundary=x",
        "image/svg+xml",
        "nonsense",
    ):
        answer = toy_server.invoke(body, Content_Type=label)
        assert answer.status == 415
        assert label.split(";")[0] in answer.error
        assert "image/jpeg" in answer.error
        assert "application/jsonlines" in answer.error
    from_curl = toy_server.invoke(body, Content_Type="application/x-www-form-urlencoded")
    assert from_curl.status == 415
    assert "-H 'Content-Type: image/jpeg'" in from_curl.error


def test_answers_that_cannot_be_given(toy_server: Served) -> None:
    body = encoded(photo(1))
    for accept in ("image/png", "application/json;format=xml", "*/*;q=0", "garbage"):
        answer = toy_server.invoke(body, Accept=accept)
        assert answer.status == 406
        forms = "application/json, application/json;format=probabilities, application/json;format=list, text/csv, "
        assert forms + "application/jsonlines, application/x-npy" in answer.error


def test_wrong_paths_and_methods(toy_server: Served) -> None:
    for path in ("/", "/nowhere", "/../../etc/passwd", "/invocations/x"):
        answer = toy_server.request("GET", path)
        assert answer.status == 404
        assert "/ping" in answer.error
        assert "/invocations" in answer.error
    for method, path, allowed in [
        ("GET", "/invocations", "POST"),
        ("PUT", "/invocations", "POST"),
        ("POST", "/ping", "GET"),
        ("DELETE", "/ping", "GET"),
    ]:
        answer = toy_server.request(method, path, b"" if method != "GET" else None)
        assert answer.status == 405
        assert method in answer.error
        assert allowed in answer.headers["allow"]


def test_head_of_ping(toy_server: Served) -> None:
    answer = toy_server.request("HEAD", "/ping")
    assert (answer.status, answer.body) == (200, b"")
