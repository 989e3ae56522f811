"""Forms of plain files go past the parser, and nobody can tell."""

import random
import re

import pytest

from serve.bodies import multipart
from serve.bodies.batch import Batch
from serve.errors import RequestError
from tests.serve.bodies import BOUNDARY, FORM, part

END = f"--{BOUNDARY}--\r\n".encode()
NEXT = f"--{BOUNDARY}\r\n".encode()
LABEL = FORM["Content-Type"]
PLAIN = {
    "one": part(b"abc", filename="a.png") + END,
    "three, one without bytes": b"".join(part(bytes(n), filename=f"{n}.jpg", kind="image/jpeg") for n in (5, 0, 9))
    + END,
    "ends of lines in it": part(b"\r\n\r\n-" + BOUNDARY.encode() + b"\n\r\n", filename="a b_c-d.png") + END,
    "nothing after the last boundary": part(b"abc", filename="0") + END[:-2],
}
OTHERS = {
    "a field": part(b"3", "top_k") + part(b"abc", filename="a.png") + END,
    "a name with an escape": part(b"abc", filename='a\\"b.png') + END,
    "a name with a path": part(b"abc", filename="C:\\a.png") + END,
    "a name in UTF-8": part(b"abc", filename="日本.png") + END,
    "no name": part(b"", filename="") + END,
    "another header": NEXT + b'Content-Disposition: form-data; name="f"; filename="a"\r\nX: y\r\n\r\nabc\r\n' + END,
    "a folded header": NEXT + b'Content-Disposition: form-data;\r\n name="f"; filename="a"\r\n\r\nabc\r\n' + END,
    "a boundary in a line": part(b"abc--" + BOUNDARY.encode() + b"def", filename="a.png") + END,
    "a boundary after LF": part(b"abc\n--" + BOUNDARY.encode() + b"\r\ndef", filename="a.png") + END,
    "a preamble": b"hello\r\n" + part(b"abc", filename="a.png") + END,
    "an epilogue": part(b"abc", filename="a.png") + END + b"hello",
    "a longer boundary inside": part(b"abc\r\n--" + BOUNDARY.encode() + b"er\r\ndef", filename="a.png") + END,
    "spaces after a boundary": f"--{BOUNDARY}  \r\n".encode() + part(b"abc", filename="a.png")[len(NEXT) :] + END,
    "lines that end in LF": (part(b"abc", filename="a.png") + END).replace(b"\r\n", b"\n"),
    "cut": part(b"abc", filename="a.png"),
    "too many": part(b"abc", filename="a.png") * 5 + END,
    "empty": b"",
}


def form_contents(body: bytes) -> tuple[object, ...]:
    """What a form comes to: names, contents and fields, or the refusal."""
    try:
        batch: Batch = multipart.read_form(body, LABEL, 4)
    except RequestError as error:
        return error.code, error.message
    contents = [item.load.args[0] for item in batch.items]  # type: ignore[attr-defined]
    return [item.name for item in batch.items], batch.files, contents, dict(batch.fields)


def by_the_parser(body: bytes, monkeypatch: pytest.MonkeyPatch) -> tuple[object, ...]:
    with monkeypatch.context() as patched:
        patched.setattr(multipart, "_plain", lambda *_: None)
        return form_contents(body)


def is_plain(body: bytes) -> bool:
    return bool(multipart._plain(body, BOUNDARY.encode(), 4))


@pytest.mark.parametrize("name", list(PLAIN))
def test_plain_forms(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert is_plain(PLAIN[name])
    assert form_contents(PLAIN[name]) == by_the_parser(PLAIN[name], monkeypatch)


@pytest.mark.parametrize("name", list(OTHERS))
def test_others_are_the_parsers(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_plain(OTHERS[name])
    assert form_contents(OTHERS[name]) == by_the_parser(OTHERS[name], monkeypatch)


def test_what_is_in_them() -> None:
    assert form_contents(PLAIN["ends of lines in it"]) == (
        ["file 0 ('a b_c-d.png')"], ["a b_c-d.png"], [b"\r\n\r\n-" + BOUNDARY.encode() + b"\n\r\n"], {}
    )  # fmt: skip


def test_whatever_is_done_to_them_the_parser_agrees(monkeypatch: pytest.MonkeyPatch) -> None:
    chance, plain, refused = random.Random(3), 0, 0
    pieces = [
        NEXT,
        END,
        b"\r\n",
        b"\n",
        b"--",
        b'"',
        b";",
        b" ",
        b"\\",
        BOUNDARY.encode(),
        b"filename=",
        b"\xff",
        b"\0",
    ]
    bodies = [*PLAIN.values()] * 4 + [*OTHERS.values()]
    for _ in range(4000):
        body = bytearray(chance.choice(bodies))
        for _ in range(chance.randint(0, 2)):
            where = chance.randint(0, len(body))
            body[where : where + chance.choice((0, 0, 1, 7))] = chance.choice((*pieces, b""))
        found = form_contents(bytes(body))
        assert found == by_the_parser(bytes(body), monkeypatch), bytes(body)
        plain += is_plain(bytes(body))
        refused += isinstance(found[0], int)
    assert min(plain, refused, 4000 - plain - refused) > 300, (plain, refused)


def test_a_boundary_is_taken_for_what_it_is() -> None:
    boundary = "'()+_,-./:=?"
    body = PLAIN["one"].replace(BOUNDARY.encode(), boundary.encode())
    batch = multipart.read_form(body, f'multipart/form-data; boundary="{boundary}"', 4)
    assert batch.files == ["a.png"]
    assert re.escape(boundary) != boundary
