import json
import subprocess
import sys

from tests.serve.process import ROOT, environment

PROGRAM = """
import json, sys
import serve.__main__, serve.app, serve.server, serve.settings
print(json.dumps(sorted(sys.modules)))
"""


def test_the_server_imports_no_torch_and_no_engine() -> None:
    run = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env=environment(),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    modules = json.loads(run.stdout)
    assert {"serve.app", "flask"} <= set(modules)
    assert [m for m in modules if m.split(".")[0] in ("torch", "torchvision", "train", "backends")] == []
    assert [m for m in modules if m.startswith("serve.engines.")] == [
        "serve.engines.base",
        "serve.engines.registry",
    ]


DECODING = """
import io, json, sys
import serve.__main__, serve.app, serve.server
from PIL import Image
before = set(sys.modules)
from contract.errors import ImageError
from model.preprocess import decode
for data in (b"no image of any kind", b"RIFF\\0\\0\\0\\0WEBPVP8 ", b"GIF89a", b"II*\\0", b"\\xff\\xd8\\xff", b"BM"):
    try:
        decode(data)
    except ImageError:
        pass
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def test_a_request_imports_no_decoders() -> None:
    run = subprocess.run(
        [sys.executable, "-c", DECODING], env=environment(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    # Pillow imports the first of these in any case.
    assert [m for m in json.loads(run.stdout) if m.startswith("PIL.") and m != "PIL.PpmImagePlugin"] == []
