"""Bodies that are broken, or made to harm: answered 4xx in one sentence, and the server goes on."""

import json
import struct

import numpy as np
import pytest

from tests.serve.bodies import (
    BLUE,
    BOUNDARY,
    FORM,
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
from tests.serve.process import Served

IMAGE = flat(RED, 8, 8)
END = f"--{BOUNDARY}--\r\n".encode()


def header(text: str, data: bytes = b"", version: tuple[int, int] = (1, 0)) -> bytes:
    """A .npy file with any header."""
    size = struct.pack("<H" if version == (1, 0) else "<I", len(text))
    return b"\x93NUMPY" + bytes(version) + size + text.encode("latin1") + data


def described(shape: str, descr: str = "'|u1'", data: bytes = bytes(12)) -> bytes:
    return header(f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n", data)


JSONS = {
    "empty": (b"", "no valid JSON (Expecting value at line 1, column 1)"),
    "blank": (b"  \n ", "no valid JSON"),
    "cut": (instances(IMAGE)[:-5], "no valid JSON"),
    "two": (instances(IMAGE) * 2, "Extra data"),
    "not UTF-8": (b'{"instances": ["\xff\xfe\xfa"]}', "isn't UTF-8"),
    "deep lists": (b'{"instances": ' + b"[" * 100_000, "more objects and lists than 64 images take"),
    "deep enough": (b"[" * 310, "no valid JSON"),
    "millions of objects": (b'{"instances": [' + b"{}," * 1_000_000 + b"{}]}", "more objects and lists"),
    "pixels as numbers": (json.dumps({"instances": pixels(RED).tolist()}).encode(), "more objects and lists"),
    "a huge integer": (b'{"instances": [' + b"9" * 100_000 + b"]}", "a number is too long"),
    "a list": (json.dumps([{"b64": b64(IMAGE)}]).encode(), 'must be like {"instances": [{"b64": '),
    "a text": (b'"x"', "got a text"),
    "null": (b"null", "got null"),
    "another key": (json.dumps({"inputs": []}).encode(), "got an object with the keys 'inputs'"),
    "an option": (json.dumps({"instances": ["x"], "top_k": 3}).encode(), "unknown key 'top_k'"),
    "no list": (b'{"instances": {"b64": ""}}', "must be like"),
    "no instances": (b'{"instances": []}', "instances are empty"),
    "NaN": (b'{"instances": [NaN]}', "instances[0]: it must be like"),
    "a number": (b'{"instances": [1e400]}', "got a number"),
    "a boolean": (b'{"instances": [{"b64": true}]}', "got an object with the keys 'b64'"),
    "two keys": (b'{"instances": [{"b64": "", "x": 1}]}', "with the keys 'b64', 'x'"),
    "tensorflow's other form": (b'{"instances": [{"image": {"b64": ""}}]}', "with the keys 'image'"),
    "an empty object": (b'{"instances": [{}]}', "an empty object"),
    "no base64": (b'{"instances": [{"b64": "*hello*"}]}', "its base64 is broken"),
    "cut base64": (b'{"instances": [{"b64": "abcde"}]}', "its base64 is broken"),
    "padding within": (b'{"instances": [{"b64": "ab==cd=="}]}', "its base64 is broken"),
    "not ASCII": ('{"instances": [{"b64": "ä"}]}'.encode(), "aren't ASCII"),
    "a lone surrogate": (b'{"instances": [{"b64": "\\ud800"}]}', "aren't ASCII"),
    "nothing": (b'{"instances": [{"b64": ""}]}', "empty (0 bytes)"),
    "a data URL as text": (b'{"instances": ["data:text/plain,hello"]}', "isn't in base64"),
    "a data URL without end": (b'{"instances": ["data:image/png;base64"]}', "empty (0 bytes)"),
    "a path": (b'{"instances": ["/etc/passwd"]}', "instances[0]: "),
}
LINE_BODIES = {
    "empty": (b"", "has no line"),
    "blank": (b"\n\r\n \n", "has no line"),
    "millions of blank lines": (b"\n" * 2_000_000, "has no line"),
    "no JSON": (lines(IMAGE) + b"hello\n", "line 2: it is no valid JSON (Expecting value at line 1, column 1)"),
    "deep": (b"[" * 100_000 + b"\n", "line 1: it is no valid JSON"),
    "JSON over many lines": (json.dumps({"b64": b64(IMAGE)}, indent=1).encode(), "line 1: it is no valid JSON"),
    "instances": (instances(IMAGE), "line 1: it must be like"),
    "UTF-16": ('{"b64": ""}'.encode("utf-16"), "1 images can't be used"),
}
FORMS = {
    "empty": (b"", FORM, "ends early"),
    "cut": (form([("a.png", IMAGE)])[:-20], FORM, "ends early"),
    "cut in a header": (part(IMAGE, filename="a.png")[:60], FORM, "ends early"),
    "no file": (form([], {"top_k": "3"}), FORM, "the form has no file; send one with curl -F"),
    "no part": (END, FORM, "the form has no file"),
    "nothing chosen": (part(b"", filename="") + END, FORM, "the form has no file"),
    "an empty file": (form([("a.png", b"")]), FORM, "file 0 ('a.png'): the image is empty"),
    "an image": (flat(RED, 400, 400) * 20, FORM, "the form is malformed"),
    "another boundary": (form([("a.png", IMAGE)]), {"Content-Type": "multipart/form-data; boundary=x"}, "malformed"),
    "no boundary": (form([("a.png", IMAGE)]), {"Content-Type": "multipart/form-data"}, "names no boundary"),
    "a long boundary": (b"", {"Content-Type": f"multipart/form-data; boundary={'x' * 201}"}, "names no boundary"),
    "an odd boundary": (b"", {"Content-Type": "multipart/form-data; boundary=(.*)+\xff"}, "names no boundary"),
    "no disposition": (f"--{BOUNDARY}\r\nX: y\r\n\r\nz\r\n".encode() + END, FORM, "malformed"),
    "headers not UTF-8": (f"--{BOUNDARY}\r\n".encode() + b"\xff\xfe: \xfd\r\n\r\nz\r\n" + END, FORM, "malformed"),
    "endless headers": (f"--{BOUNDARY}\r\n".encode() + b"a: b\r\n" * 500_000, FORM, "malformed"),
    "a long header": (part(IMAGE, filename="a" * 40_000) + END, FORM, "malformed"),
    "only boundaries": (f"--{BOUNDARY}\r\n".encode() * 100_000, FORM, ""),
    "many fields": (form([], dict.fromkeys(map(str, range(200)), "")), FORM, "64 fields"),
}
ARRAYS = {
    "empty": (b"", "no .npy file that can be read"),
    "magic": (b"\x93NUMPY", "no .npy file"),
    "an image": (IMAGE, "no .npy file"),
    "cut header": (npy(pixels(RED))[:60], "no .npy file"),
    "a newer version": (b"\x93NUMPY\x03\0" + npy(pixels(RED))[8:], "no .npy file"),
    "a header of 4 GiB": (b"\x93NUMPY\x02\0\xff\xff\xff\xff", "no .npy file"),
    "a long header": (described("(2, 2, 3)" + " " * 2000), "no .npy file"),
    "code": (header("__import__('os').system('true')\n"), "no .npy file"),
    "nested": (header("(" * 900), "no .npy file"),
    "negated": (header("-" * 1000 + "1"), "no .npy file"),
    "objects": (described("(2, 2, 3)", "'|O'"), "type is object; send uint8 pixels"),
    "floats": (npy(pixels(RED).astype(np.float32)), "type is float32; send uint8 pixels"),
    "booleans": (npy(pixels(RED).astype(bool)), "type is bool"),
    "signed": (npy(pixels(RED).astype(np.int8)), "type is int8"),
    "fields": (described("(2, 2, 3)", "[('a', '|u1')]"), "type is [('a', 'u1')]"),
    "text for a shape": (described("'abc'"), "no .npy file"),
    "grey": (npy(np.zeros((9, 9), np.uint8)), "shape is (9, 9); send uint8 pixels (RGB) of shape"),
    "one number": (npy(np.array(3, np.uint8)), "shape is ();"),
    "channels first": (npy(np.zeros((1, 3, 9, 9), np.uint8)), "shape is (1, 3, 9, 9);"),
    "five axes": (npy(np.zeros((1, 1, 9, 9, 3), np.uint8)), "shape is (1, 1, 9, 9, 3)"),
    "no images": (npy(np.zeros((0, 9, 9, 3), np.uint8)), "has no pixels"),
    "no pixels": (npy(np.zeros((9, 0, 3), np.uint8)), "has no pixels"),
    "negative": (described("(-2, -2, 3)"), "has no pixels"),
    "declared too large": (described("(9999, 9999, 3)"), "needs 299940003 bytes, but 12 follow its header"),
    "cut data": (npy(pixels(RED))[:-1], "needs 3600 bytes, but 3599 follow"),
    "more data": (npy(pixels(RED)) + b"x", "needs 3600 bytes, but 3601 follow"),
    "more memory than there is": (described("(99999999999, 99999999999, 3)"), "more than the limit of 100000000"),
    "more images than fit": (described("(99999999999, 1, 1, 3)"), "more images than the limit of 64"),
}
CASES = {
    **{f"json, {name}": (body, JSON, reason) for name, (body, reason) in JSONS.items()},
    **{f"lines, {name}": (body, LINES, reason) for name, (body, reason) in LINE_BODIES.items()},
    **{f"form, {name}": case for name, case in FORMS.items()},
    **{f"npy, {name}": (body, NPY, reason) for name, (body, reason) in ARRAYS.items()},
}


@pytest.mark.parametrize("kind", list(CASES))
def test_broken_bodies(toy_server: Served, kind: str) -> None:
    body, label, reason = CASES[kind]
    answer = toy_server.request("POST", "/invocations", body, label)
    assert answer.status in (400, 413), answer
    assert reason in answer.error
    assert "\n" not in answer.error
    assert len(answer.error) < 600


def test_file_names_cannot_break_the_answer(toy_server: Served) -> None:
    for name in ("../../etc/passwd", "a;b", "<script>", "日本.png", "x" * 5000):
        good = toy_server.request("POST", "/invocations", form([(name, IMAGE)]), FORM)
        assert good.json["files"] == [name]
        bad = toy_server.request("POST", "/invocations", form([(name, b"hello")]), FORM)
        assert bad.status == 400
        assert name[:80] in bad.error


def test_mutated_bodies_never_harm(toy_server: Served) -> None:
    random = np.random.default_rng(7)
    bodies = [
        (form([("a.png", IMAGE), ("b.png", flat(BLUE, 8, 8))], {"top_k": "2"}), FORM),
        (instances(IMAGE, flat(BLUE, 8, 8)), JSON),
        (lines(IMAGE, flat(BLUE, 8, 8)), LINES),
        (npy(pixels(RED, BLUE, height=2, width=2)), NPY),
    ]
    seen = {200: 0, 400: 0, 413: 0}
    for number in range(240):
        body, label = bodies[number % 4]
        changed = bytearray(body)
        for position in random.integers(0, min(len(body), 400), 1 + number % 5):
            changed[position] = random.integers(0, 256)
        cut = len(changed) if number % 3 else int(random.integers(0, len(changed)))
        answer = toy_server.request("POST", "/invocations", bytes(changed[:cut]), label)
        assert answer.status in seen, (bytes(changed[:cut]), answer)
        seen[answer.status] += 1
        assert answer.status == 200 or answer.error
    assert seen[200] > 0
    assert seen[400] > 0
    assert "Traceback" not in toy_server.log
    assert toy_server.invoke(flat(RED), Accept="application/json;format=list").json == [ROWS[RED]]
