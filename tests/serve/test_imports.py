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
