"""What the commands share: one sentence and exit code 2 for the user's faults."""

import errno
import io
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from contract.errors import ConfigError, UserError

_MORE_MEMORY = "lower batch_size or image_size, or choose a larger instance"


def run_command(command: Callable[[], None], more_memory: str = _MORE_MEMORY) -> NoReturn:
    """Run `command` and exit: 0, or 2 after a UserError's sentence on stderr, or 130 after Ctrl-C.

    more_memory: what to do when there was too little.
    """
    # Whoever closes the pipe early (head, say) wants no traceback.
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    print_whole_lines()
    try:
        command()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
    except Exception as error:
        if sentence := machine_fault(error, more_memory):
            print(f"error: {sentence}", file=sys.stderr)
            sys.exit(2)
        raise
    sys.exit(0)


def page_beside(report: Path) -> Path:
    """The page's file beside a JSON report: evaluation.html beside evaluation.json. Raises ConfigError for .html."""
    page = report.with_suffix(".html")
    if page == report:
        raise ConfigError(f"--json {report} is where the page would go; give the report a name that ends in .json")
    return page


def print_whole_lines() -> None:
    """Send each line at once, so that those of several processes don't mix: unbuffered, as the image has it, Python
    sends a line's end by itself. File names that aren't UTF-8 are shown escaped.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace", line_buffering=True, write_through=False)


def machine_fault(error: Exception, more_memory: str = _MORE_MEMORY) -> str | None:
    """One sentence where the machine is too small or closed for what was asked; None for faults of ours."""
    text = str(error)
    if out_of_memory(error):
        return f"out of memory; {more_memory}"
    if isinstance(error, RuntimeError) and any(sign in text for sign in _SHARED_MEMORY):
        return (
            "the processes that load images ran out of (shared) memory; set workers=0, or give the container "
            "more (docker run --shm-size=1g)"
        )
    return _file_fault(error) if isinstance(error, OSError) else None


def out_of_memory(error: Exception) -> bool:
    """Whether it is Python's or torch's word for that, on the CPU or a GPU."""
    kind = type(error).__name__
    return isinstance(error, MemoryError) or kind == "OutOfMemoryError" or "DefaultCPUAllocator" in str(error)


def _file_fault(error: OSError) -> str | None:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"the disk is full ({error.filename or 'while writing'}); give the job a larger volume"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{error.filename} can't be accessed ({error.strerror}); let this user read and write it"
    if error.errno in (errno.ENOTDIR, errno.EISDIR, errno.EEXIST):
        return (
            f"{error.filename} can't be accessed ({error.strerror}): "
            "a file is in a folder's place or a folder in a file's; move it away"
        )
    return None


# How torch's DataLoader reports a full /dev/shm (64 MB in a container by default) or of a killed worker.
_SHARED_MEMORY = ("shared memory", "unable to write to file </torch_", "killed by signal: Killed")
