"""The stamp in .venv, by which a set-up knows its own work and whether it is still current."""

import hashlib
import json
import sys
from pathlib import Path

NAME = "kennel.json"
# Of an environment whose packages have been compiled to bytecode; one without this stays current, and is compiled.
COMPILED = "compiled"


def key(locks: Path, venv: Path) -> str:
    """Digest of all that an environment is made from: locks (but for comments), this Python and the place."""
    digest = hashlib.sha256(f"{sys.version_info[:2]} {venv}".encode())
    for lock in sorted(locks.glob("*.txt")):
        lines = lock.read_text(encoding="utf-8").splitlines()
        digest.update("\n".join(line for line in lines if not line.lstrip().startswith("#")).encode())
    return digest.hexdigest()


def is_current(stamp: dict[str, str], new_key: str, requested: str, gpu: bool) -> bool:
    """Whether an environment with this stamp can stay.

    `new_key` is the key of an environment made now, `requested` the variable TORCH or "", `gpu` if one is here.
    """
    if stamp.get("state") != "ready" or stamp.get("key") != new_key:
        return False
    if requested:
        return stamp.get("build") == requested
    gpu_is_new = gpu and stamp.get("build") == "cpu" and not stamp.get("asked")
    return not gpu_is_new


def read(venv: Path) -> dict[str, str]:
    """The stamp of an environment; {} where that is not there, broken or another program's."""
    try:
        stamp = json.loads((venv / NAME).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) and (venv / "bin" / "python").exists() else {}


def write(venv: Path, **values: str) -> None:
    """Replace the stamp, in one step."""
    new = venv / f"{NAME}.new"
    new.write_text(json.dumps(values, indent=1) + "\n", encoding="utf-8")
    new.replace(venv / NAME)
