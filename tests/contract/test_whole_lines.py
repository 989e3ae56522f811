"""What several processes print to one pipe stays in lines."""

import os
import socket
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = """
import sys
{first}
print("epoch=1;", flush=True)
print("ExplodingTensor:", "InProgress")
print("WARNING: so", file=sys.stderr)
"""


def writes(first: str) -> list[bytes]:
    """What an unbuffered Python, as in the image, hands over to the system each time."""
    # A socket of packets keeps what was written at once together and apart from the rest.
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours:
        with theirs:
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
            command = [sys.executable, "-c", PROGRAM.format(first=first)]
            subprocess.run(command, stdout=theirs.fileno(), stderr=theirs.fileno(), env=environment, check=True)
        found = []
        while packet := ours.recv(65536):
            found.append(packet)
        return found


def test_a_line_is_written_at_once() -> None:
    lines = [b"epoch=1;\n", b"ExplodingTensor: InProgress\n", b"WARNING: so\n"]
    assert writes("from contract.command import print_whole_lines; print_whole_lines()") == lines
    # Which Python doesn't do by itself.
    assert b"".join(writes("")) == b"".join(lines)
    assert b"\n" in writes("")
