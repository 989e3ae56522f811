"""Request bodies with several images, over HTTP to a real server."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.serve.bodies import (
    BLUE,
    FORM,
    GREEN,
    JSON,
    LINES,
    NPY,
    RED,
    ROWS,
    b64,
    flat,
    form,
    instances,
    lines,
    npy,
    part,
    pixels,
)
from tests.serve.conftest import encoded
from tests.serve.process import Answer, Served

FILES = [("a.png", flat(RED)), ("b b.png", flat(BLUE)), ("ü.png", flat(GREEN))]
IMAGES = [content for _, content in FILES]
WANTED = [ROWS[RED], ROWS[BLUE], ROWS[GREEN]]


def invoke(server: Served, body: bytes, label: dict[str, str], **headers: str) -> Answer:
    return server.request("POST", "/invocations", body, {**label, **headers})


def rows(server: Served, body: bytes, label: dict[str, str]) -> list[list[float]]:
    """All images' probabilities."""
    answer = invoke(server, body, label, Accept="application/json;format=list")
    assert answer.status == 200, answer
    found: list[list[float]] = answer.json
    return found


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (form(FILES), FORM),
        (instances(*IMAGES), JSON),
        (lines(*IMAGES), LINES),
        (npy(pixels(RED, BLUE, GREEN)), NPY),
    ],
    ids=["form", "json", "jsonlines", "npy"],
)
def test_several_images_are_answered_in_order(toy_server: Served, body: bytes, label: dict[str, str]) -> None:
    assert rows(toy_server, body, label) == pytest.approx(np.array(WANTED))


def test_a_form_from_a_browser(toy_server: Served) -> None:
    chosen_nothing = part(b"", "more", "")
    unnamed = part(flat(GREEN), "pasted", None, "image/png")
    body = chosen_nothing + unnamed + form([("a.png", flat(RED))], {"csrf": "x" * 500, "comment": "ünïcode"})
    answer = invoke(toy_server, body, FORM)
    assert answer.json["files"] == ["pasted", "a.png"]
    assert [each[0]["label"] for each in answer.json["predictions"]] == ["Green dog", "Red dog"]


def test_a_forms_fields_are_options_that_others_beat(toy_server: Served) -> None:
    body = form(FILES[:1], {"top_k": "1", "format": "predictions"})
    by_form = invoke(toy_server, body, FORM, Accept="text/csv").json["predictions"]
    assert [len(each) for each in by_form] == [1]
    by_query = toy_server.request("POST", "/invocations?top_k=2", body, FORM)
    assert [len(each) for each in by_query.json["predictions"]] == [2]
    wrong = invoke(toy_server, form(FILES[:1], {"top_k": "many"}), FORM)
    assert (wrong.status, wrong.error) == (400, "the option top_k must be an integer of 1 or more, got 'many'")


def test_bodies_larger_than_the_parsers_pieces(toy_server: Served) -> None:
    noise = np.random.default_rng(3).integers(0, 256, (300, 300, 3), dtype=np.uint8)
    # Line breaks and dashes before the boundary, and everywhere in the noise.
    big = encoded(Image.fromarray(noise), "BMP") + b"\r\n--kennel\r\n\r\n"
    body = form([("noise.bmp", big), ("r.png", flat(RED))])
    assert len(body) > 270_000
    assert rows(toy_server, body, FORM)[1] == pytest.approx(ROWS[RED])
    alone = toy_server.invoke(big, Accept="application/json;format=list").json
    assert rows(toy_server, body, FORM)[0] == pytest.approx(alone[0])


def test_ways_to_write_base64(toy_server: Served) -> None:
    # What follows the image is ++++////eA== in base64: the letters that differ between the alphabets, and padding.
    image = flat(RED)
    image += bytes(-len(image) % 3) + b"\xfb\xef\xbe\xff\xff\xffx"
    plain = b64(image)
    assert plain.endswith("++++////eA==")
    wrapped = "\n".join(plain[i : i + 76] for i in range(0, len(plain), 76))
    ways = [
        plain,
        wrapped,
        plain.rstrip("="),
        plain.replace("+", "-").replace("/", "_").rstrip("="),
        f"data:image/png;base64,{plain}",
        f"DATA:;Base64,{plain}",
    ]
    both = [*({"b64": text} for text in ways), *ways]
    body = json.dumps({"signature_name": "serving_default", "instances": both}).encode()
    assert rows(toy_server, body, JSON) == pytest.approx(np.array([ROWS[RED]] * 12))
    as_lines = b"\n".join(json.dumps(each).encode() for each in both)
    assert rows(toy_server, as_lines, LINES) == pytest.approx(np.array([ROWS[RED]] * 12))


def test_json_in_other_encodings(toy_server: Served) -> None:
    text = instances(flat(RED)).decode()
    for body in (text.encode("utf-8-sig"), text.encode("utf-16"), text.encode("utf-32")):
        assert rows(toy_server, body, JSON) == pytest.approx(np.array([ROWS[RED]]))


def test_json_lines_of_all_kinds(toy_server: Served) -> None:
    one, two = lines(flat(RED), flat(BLUE)).splitlines()
    bodies = [
        b"\n" + one + b"\r\n  \r\n" + two + b"\r\n\n\n",
        b"\xef\xbb\xbf" + one + b"\n" + two,
    ]
    for body in bodies:
        assert rows(toy_server, body, LINES) == pytest.approx(np.array([ROWS[RED], ROWS[BLUE]]))
    for label in ("application/x-jsonlines", "application/jsonl", "application/x-ndjson; charset=utf-8"):
        assert len(rows(toy_server, bodies[1], {"Content-Type": label})) == 2


def test_an_array_is_what_an_image_file_of_its_pixels_is(toy_server: Served) -> None:
    random = np.random.default_rng(5)
    # The model's own size (32 pixels), smaller, larger and oblong.
    for height, width in ((32, 32), (7, 9), (300, 200), (1, 1)):
        array = random.integers(0, 256, (height, width, 3), dtype=np.uint8)
        file = encoded(Image.fromarray(array), "PNG")
        wanted = toy_server.invoke(file, Accept="application/json;format=list").json
        assert rows(toy_server, npy(array), NPY) == wanted
        assert rows(toy_server, npy(array[np.newaxis]), NPY) == wanted
        # A transposed array is saved in Fortran's order.
        assert rows(toy_server, npy(np.asfortranarray(array)), NPY) == wanted
        assert rows(toy_server, npy(np.asfortranarray(array[np.newaxis])), NPY) == wanted


def test_colours_are_in_the_order_red_green_blue(toy_server: Served) -> None:
    assert rows(toy_server, npy(pixels(RED)[0]), NPY) == pytest.approx(np.array([ROWS[RED]]))


@pytest.mark.parametrize(
    ("make", "label"),
    [
        (lambda n: form([("a.png", flat(RED, 2, 2))] * n), FORM),
        (lambda n: instances(*[flat(RED, 2, 2)] * n), JSON),
        (lambda n: lines(*[flat(RED, 2, 2)] * n), LINES),
        (lambda n: npy(pixels(*[RED] * n, height=2, width=2)), NPY),
    ],
    ids=["form", "json", "jsonlines", "npy"],
)
def test_so_many_images_and_no_more(toy_server: Served, make: object, label: dict[str, str]) -> None:
    assert callable(make)
    assert len(rows(toy_server, make(64), label)) == 64
    for count in (65, 400):
        answer = invoke(toy_server, make(count), label)
        assert answer.status == 413
        assert "64" in answer.error
        assert "send fewer" in answer.error


def test_every_bad_image_is_named_and_none_predicted(toy_server: Served) -> None:
    good, pdf, empty = flat(RED), b"%PDF-1.7", b""
    images = [good, pdf, good, empty]
    files = [(f"{i}.png", image) for i, image in enumerate(images)]
    for body, label, names in [
        (instances(*images), JSON, ("instances[1]", "instances[3]")),
        (lines(*images), LINES, ("line 2", "line 4")),
        (form(files), FORM, ("file 1 ('1.png')", "file 3 ('3.png')")),
    ]:
        answer = invoke(toy_server, body, label)
        assert answer.status == 400
        assert answer.json["error"]["images"] == [1, 3]
        assert answer.error == (
            f"2 of 4 images can't be used, so none was predicted: {names[0]}: this is a PDF document, which isn't "
            "supported; the formats are JPEG, PNG, WEBP, GIF, BMP, TIFF; "
            f"{names[1]}: the image is empty (0 bytes); send the bytes of an image file"
        )
