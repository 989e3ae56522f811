"""pip inside the new environment: quiet while all is well, its last words when not."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from tools import SetupError

# Settings that would send packages elsewhere, or others in.
UNWANTED = ["TARGET", "PREFIX", "ROOT", "CONSTRAINT", "REQUIREMENT", "REQUIRE_HASHES", "NO_BINARY", "PYTHON"]
TAIL = 12


class Installer:
    """Runs commands for the environment at `venv`, which log to setup.log there."""

    def __init__(self, venv: Path) -> None:
        self.python = venv / "bin" / "python"
        self.library = venv / "lib"
        self.log = venv / "setup.log"
        drop = {"PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", *(f"PIP_{name}" for name in UNWANTED)}
        self.environ = {name: value for name, value in os.environ.items() if name not in drop}
        self.environ.update(PIP_USER="0", PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1")

    def run(self, command: list[str], must_succeed: bool = True) -> None:
        """Run a command to its end, logged; on a terminal the seconds tick.

        Raises SetupError, after the end of its output, where it fails and must not.
        """
        with self.log.open("a+b") as log:
            begin = log.seek(0, os.SEEK_END)
            log.write(("$ " + " ".join(command) + "\n").encode())
            log.flush()
            process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=self.environ)
            try:
                self._wait(process)
            except BaseException:
                process.kill()
                process.wait()
                raise
            if process.returncode and must_succeed:
                log.seek(begin)
                lines = log.read().decode(errors="replace").splitlines()
                print("\n".join("    " + line for line in lines[1:][-TAIL:]), file=sys.stderr)
                raise SetupError(
                    f"that step failed with exit code {process.returncode} (all its output: {self.log}): "
                    "check the network and the disk, then run `make setup` again."
                )

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        start = time.monotonic()
        while True:
            try:
                process.wait(timeout=1)
                break
            except subprocess.TimeoutExpired:
                if sys.stdout.isatty():
                    print(f"\r    {time.monotonic() - start:.0f} s", end="", flush=True)
        if sys.stdout.isatty():
            print("\r           \r", end="", flush=True)

    def _install(self, *arguments: str) -> list[str]:
        # pip compiles on one core, and not where PYTHONDONTWRITEBYTECODE is set: see `compile`.
        quiet = ["--progress-bar", "off", "--no-compile", "--no-deps", "--only-binary", ":all:"]
        return [str(self.python), "-m", "pip", "install", *quiet, *arguments]

    def install(self, *arguments: str) -> None:
        """Install exact requirements without their dependencies. Raises SetupError."""
        self.run(self._install("--timeout", "30", "--retries", "3", *arguments))

    def install_locked(self, *locks: Path) -> None:
        """Install what the lock files hold, every file checked against its hash. Raises SetupError."""
        self.install("--require-hashes", *(part for lock in locks for part in ("-r", str(lock))))

    def compile(self) -> None:
        """Leave bytecode beside all that is installed, but for packages' own tests, on all cores.

        Without, a start of Python compiles what it imports, seconds each time where PYTHONDONTWRITEBYTECODE is set.
        """
        # Isolated, or the environment's variables could send the bytecode elsewhere or optimize it.
        command = [str(self.python), "-I", "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "timestamp"]
        tests = f"^{re.escape(str(self.library))}/.*/tests/"
        # Some packages bring files that this Python can't compile: templates, tests of other versions' syntax.
        self.run([*command, "-x", tests, str(self.library)], must_succeed=False)

    def finds(self, requirement: str) -> bool:
        """Whether pip, as configured on this machine, finds this exact requirement; nothing is installed."""
        command = self._install("--timeout", "5", "--retries", "0", "--dry-run", "--quiet", requirement)
        try:
            answer = subprocess.run(command, capture_output=True, env=self.environ, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return False
        return answer.returncode == 0
