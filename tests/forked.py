"""Kennel's commands as real processes, without the seconds that their imports take.

A server process, one for each process that runs tests, imports all that Kennel imports. `Popen` takes the place of
subprocess.Popen: `python -m train ...`, `python -m serve ...` and `deploy.py ...` are forked from the server and run
the same module as `__main__`, with their own arguments, environment, files, session, signals and exit code. They are
children of the process that asked, so that everything else of subprocess.Popen holds. What is forked for deploy.py
starts its own children in the same way.

A command is started as usual, from nothing, where the start would differ: other commands, options of Python's,
variables that are read while libraries are loaded (see `_AT_START`), and on systems other than Linux.

Tests of the start itself use subprocess.
"""

import atexit
import ctypes
import gc
import importlib
import io
import json
import os
import pkgutil
import random
import runpy
import signal
import socket
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
_PACKAGES: Final = (
    "contract", "model", "tuning", "reports", "monitor", "train", "serve", "backends", "cli", "examples",
)  # fmt: skip
_LIBRARIES: Final = ("openvino.frontend.pytorch", "nncf", "tensorboardX", "PIL.WebPImagePlugin")
_SDK: Final = ("estimator", "tuner", "session", "transformer", "processing", "debugger")
# Variables that the interpreter or a library reads once, when it is loaded.
_AT_START: Final = (
    "PYTHON", "LD_", "LANG", "LC_", "TZ", "OMP_", "GOMP_", "KMP_", "MKL_", "OPENBLAS_", "DNNL_", "ONEDNN_", "ATEN_",
    "TORCH_", "PYTORCH_", "CUDA_", "MALLOC_", "OV_", "SMDEBUG_", "GLIBC_",
)  # fmt: skip
# Of those: what a forked process takes up by itself, or what makes no difference after the start.
_TAKEN_UP: Final = (
    "PYTHONPATH", "PYTHONIOENCODING", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "TORCH_HOME",
    "CUDA_VISIBLE_DEVICES", "KMP_DUPLICATE_LIB_OK", "KMP_INIT_AT_FORK",  # scikit-learn sets the last two
)  # fmt: skip
_PR_SET_CHILD_SUBREAPER: Final = 36
_LARGEST: Final = 200_000  # bytes of a message
_HIGH: Final = 200  # file descriptors from here on are nobody's


class Popen(subprocess.Popen[Any]):
    """A process, forked where it can be; see the module."""

    def __init__(self, args: Sequence[str | Path], **options: Any) -> None:
        self._session = bool(options.get("start_new_session"))
        self._plain = not any(options.get(each) for each in ("preexec_fn", "shell", "user", "group", "process_group"))
        super().__init__(args, **options)

    def _execute_child(self, args: Any, executable: Any, *rest: Any) -> None:
        _preexec, _close, pass_fds, cwd, env, _info, _flags, _shell, *pipes = rest[:14]
        words = [os.fspath(each) for each in args] if not isinstance(args, str) else []
        environ = dict(os.environ if env is None else env)
        server = _the_server() if self._plain and _can_be_forked(words, environ) else None
        if server is None:
            super()._execute_child(args, executable, *rest)  # type: ignore[misc]
            return
        own = (pipes[0], pipes[3], pipes[5])
        standard = [number if given == -1 else given for number, given in enumerate(own)]
        task = _Task(
            words[1:], environ, os.fspath(cwd or Path.cwd()), sorted(_affinity()), self._session,
            [0, 1, 2, *sorted(pass_fds)],
        )  # fmt: skip
        self.pid = server.start(task, [*standard, *sorted(pass_fds)])
        self._child_created = True
        self._close_pipe_fds(*pipes)  # type: ignore[attr-defined]


def run(
    args: Sequence[str | Path], *, timeout: float | None = None, check: bool = False, **options: Any
) -> "subprocess.CompletedProcess[Any]":
    """As subprocess.run with capture_output=True."""
    with Popen(args, **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}) as process:
        try:
            out, err = process.communicate(timeout=timeout)
        except BaseException:
            process.kill()
            raise
    if check and process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, out, err)
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def _can_be_forked(words: Sequence[str], environ: Mapping[str, str]) -> bool:
    if not _first_environ:
        remember_environment()
    if sys.platform != "linux" or len(words) < 2 or words[0] != sys.executable:
        return False
    if words[1] == "-m":
        if len(words) < 3 or words[2].partition(".")[0] not in _PACKAGES:
            return False
    elif words[1] != str(ROOT / "deploy.py"):
        return False
    paths = filter(None, environ.get("PYTHONPATH", "").split(os.pathsep))
    return all(Path(each) == ROOT for each in paths) and _at_start(environ) == _at_start(_first_environ)


def _at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith(_AT_START) and name not in _TAKEN_UP}


def _affinity() -> set[int]:
    return os.sched_getaffinity(0) if sys.platform == "linux" else set()


# --- The asking side ------------------------------------------------------------------------------------------------


class _Server:
    """The process that forks, seen from the one that asks it, whose descendant it has to be."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def start(self, task: "_Task", files: Sequence[int]) -> int:
        """The number of the new process, a child of this one."""
        message = json.dumps(asdict(task)).encode("utf-8", "surrogateescape")
        with self._lock:
            # The process that stands between the server and the new one has ended when the server answers; by then the
            # new one has become a child of its next ancestor that is a subreaper.
            _become_subreaper(1)
            try:
                socket.send_fds(self._connection, [message], list(files))
                answer = self._connection.recv(64)
            finally:
                _become_subreaper(0)
        if not answer:
            raise OSError("the process that the tests' processes are forked from has ended")
        return int(answer)


def _become_subreaper(value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


_first_environ: dict[str, str] = {}
_server: _Server | None = None
_server_lock = threading.Lock()


def _the_server() -> _Server | None:
    """Start it with the first task; None in a forked process that has none."""
    global _server  # noqa: PLW0603 - one a process
    with _server_lock:
        if _server is None and not _forked:
            ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
            with its:
                process = subprocess.Popen(
                    [sys.executable, "-m", "tests.forked", str(its.fileno())], pass_fds=[its.fileno()], cwd=ROOT,
                    env=_first_environ, stdin=subprocess.DEVNULL,
                )  # fmt: skip
            _server = _Server(ours)
            atexit.register(_end_server, ours, process)
        return _server


def _end_server(connection: socket.socket, process: "subprocess.Popen[bytes]") -> None:
    connection.close()
    process.wait()


def remember_environment() -> None:
    """What holds for all tests: the server starts with it, whichever test is the first to need it."""
    _first_environ.clear()
    _first_environ.update(os.environ)


# --- The forking side -----------------------------------------------------------------------------------------------

_forked = False


@dataclass
class _Task:
    """A command. words: what follows the interpreter. targets: the numbers that its open files are to have."""

    words: list[str]
    environ: dict[str, str]
    folder: str
    cores: list[int]
    session: bool
    targets: list[int]

    def take_over(self, files: Sequence[int]) -> None:
        """Make this process, a fork of the server, what a fresh one would be."""
        global _forked  # noqa: PLW0603
        _forked = True
        if self.words[0] != "-m":
            _fork_a_server(files)
        if self.session:
            os.setsid()
        os.chdir(self.folder)
        if self.cores:
            os.sched_setaffinity(0, self.cores)
        os.environ.clear()
        os.environ.update(self.environ)
        _first_environ.clear()
        _first_environ.update(self.environ)
        time.tzset()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        self._open(files)
        random.seed()
        importlib.import_module("numpy").random.seed()

    def _open(self, files: Sequence[int]) -> None:
        import fcntl

        high = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, _HIGH) for each in files]
        for each in files:
            os.close(each)
        for each, target in zip(high, self.targets, strict=True):
            os.dup2(each, target, inheritable=True)
            os.close(each)
        unbuffered = bool(os.environ.get("PYTHONUNBUFFERED"))
        encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
        encoding = encoding or "utf-8"
        sys.stdin = sys.__stdin__ = io.TextIOWrapper(  # type: ignore[misc]
            io.BufferedReader(io.FileIO(0, closefd=False)), encoding, errors or None
        )
        for name, number, how in (("stdout", 1, errors or "strict"), ("stderr", 2, "backslashreplace")):
            raw = io.FileIO(number, "wb", closefd=False)
            binary = raw if unbuffered else io.BufferedWriter(raw)
            text = io.TextIOWrapper(
                binary, encoding, how, line_buffering=number == 2 or raw.isatty(), write_through=unbuffered
            )
            setattr(sys, name, text)
            setattr(sys, f"__{name}__", text)

    def run(self) -> None:
        """The command, as `__main__`."""
        main = ModuleType("__main__")
        _kept.append(sys.modules["__main__"])
        sys.modules["__main__"] = main
        paths = [each for each in self.environ.get("PYTHONPATH", "").split(os.pathsep) if each]
        gc.enable()
        if self.words[0] == "-m":
            module = self.words[1]
            sys.argv = ["-m", *self.words[2:]]
            sys.path[:1] = [str(Path.cwd()), *paths]
            # What runs as `__main__` is made anew.
            sys.modules.pop(module if not hasattr(sys.modules.get(module), "__path__") else f"{module}.__main__", None)
            runpy._run_module_as_main(module)  # type: ignore[attr-defined]
        else:
            sys.argv = self.words
            script = self.words[0]
            sys.path[:1] = [str(Path(script).parent), *paths]
            main.__file__ = script
            exec(compile(Path(script).read_bytes(), script, "exec"), vars(main))


_kept: list[ModuleType] = []


def _fork_a_server(files: Sequence[int]) -> None:
    """Leave a copy to fork this process's children from, before it does anything of its own."""
    global _server  # noqa: PLW0603
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    if os.fork():
        its.close()
        _server = _Server(ours)
        setattr(subprocess, "Popen", Popen)  # noqa: B010 - what the product calls by this name
        return
    ours.close()
    for each in files:
        os.close(each)
    task, its_files = _serve(its)
    _server = None
    _start(task, its_files)


def _serve(connection: socket.socket) -> tuple[_Task, list[int]]:
    """Fork a process for each task. Returns in these alone; the server itself ends with the one that asks."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while True:
        message, files, _, _ = socket.recv_fds(connection, _LARGEST, 32)
        if not message:
            os._exit(0)
        read, write = os.pipe()
        between = os.fork()
        if not between:
            child = os.fork()
            if not child:
                for each in (read, write):
                    os.close(each)
                connection.close()
                return _Task(**json.loads(message)), files
            os.write(write, str(child).encode())
            os._exit(0)
        os.close(write)
        number_of_child = os.read(read, 64)
        for each in (read, *files):
            os.close(each)
        os.waitpid(between, 0)
        with suppress(OSError):
            connection.send(number_of_child)


def _import_all() -> None:
    for package in _PACKAGES:
        for each in pkgutil.walk_packages([str(ROOT / package)], f"{package}."):
            if not each.name.endswith("__main__"):
                importlib.import_module(each.name)
    for library in _LIBRARIES:
        importlib.import_module(library)
    sdk = importlib.import_module("backends.sagemaker.sdk").sdk
    for module in _SDK:
        sdk(module)
    importlib.import_module("deploy")


def _start(task: _Task, files: Sequence[int]) -> NoReturn:
    """Run the command in this process, to its end."""
    task.take_over(files)
    code: object = None
    try:
        task.run()
    except SystemExit as ended:
        code = ended.code
    except KeyboardInterrupt:
        traceback.print_exc()
        _end(1, by_signal=True)
    except BaseException:  # noqa: BLE001 - as the interpreter does
        traceback.print_exc()
        code = 1
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    _end(int(code or 0))


def _end(code: int, *, by_signal: bool = False) -> NoReturn:
    """As the interpreter ends, but for freeing what the server has imported, which would copy all of it."""
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):
            stream.flush()
    if by_signal:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    _import_all()
    gc.disable()
    gc.collect()
    gc.freeze()
    _start(*_serve(socket.socket(fileno=int(sys.argv[1]))))
