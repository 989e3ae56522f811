"""Reading of hashed requirement files."""

import re
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Block:
    """One locked requirement: `text` holds its line, its hashes and the comments on who requires it."""

    name: str
    version: str
    text: str

    @property
    def hashes(self) -> list[str]:
        """The sha256 digests, in hexadecimal."""
        return re.findall(r"--hash=sha256:([0-9a-f]{64})\b", self.text)


def normalise(name: str) -> str:
    """Spell a project's name as package indexes do (PEP 503): `Foo_Bar` becomes `foo-bar`."""
    return re.sub(r"[-_.]+", "-", name).lower()


def blocks(text: str) -> list[Block]:
    """Split a hashed requirement file into its requirements; comments before the first one are left out."""
    found = []
    for chunk in re.split(r"(?m)^(?=[A-Za-z0-9])", text)[1:]:
        pin = re.match(r"([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^\s;\\]+)", chunk)
        if pin is None:
            raise ValueError(f"not an exact requirement: {chunk.splitlines()[0]}")
        found.append(Block(normalise(pin[1]), pin[2], chunk.rstrip() + "\n"))
    return found


def read(path: Path) -> list[Block]:
    """`blocks` of a file."""
    return blocks(path.read_text(encoding="utf-8"))
