"""Faults of the machine get a sentence, faults of ours don't."""

import errno
import os
import subprocess
import sys

import pytest
import torch

from contract.command import machine_fault


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (MemoryError(), "out of memory; lower batch_size or image_size"),
        (torch.cuda.OutOfMemoryError("CUDA out of memory."), "out of memory; lower batch_size or image_size"),
        (
            RuntimeError(
                "DataLoader worker (pid 7) is killed by signal: Bus error. It is possible that dataloader's "
                "workers are out of shared memory. Please try to raise your shared memory limit."
            ),
            "set workers=0, or give the container more (docker run --shm-size=1g)",
        ),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), "set workers=0"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), "the disk is full (/x/y)"),
        (OSError(errno.ENOSPC, "No space left on device"), "the disk is full (while writing)"),
        (PermissionError(errno.EACCES, "Permission denied", "/x/y"), "/x/y can't be accessed (Permission denied)"),
        (OSError(errno.EROFS, "Read-only file system", "/x/y"), "/x/y can't be accessed (Read-only file system)"),
        (NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), "/x/y"), "a file is in a folder's place"),
    ],
)
def test_faults_of_the_machine(error: Exception, words: str) -> None:
    sentence = machine_fault(error)
    assert sentence is not None
    assert words in sentence
    assert "\n" not in sentence


def test_memory_that_torch_cannot_get() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**55, dtype=torch.uint8)
    assert machine_fault(caught.value) == "out of memory; lower batch_size or image_size, or choose a larger instance"


@pytest.mark.parametrize(
    "error",
    [
        KeyError("x"),
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("Caught KeyError in DataLoader worker process 0."),
        RuntimeError("DataLoader worker (pid 7) is killed by signal: Segmentation fault."),
        FileNotFoundError(errno.ENOENT, "No such file or directory", "/x/y"),
    ],
)
def test_faults_of_ours(error: Exception) -> None:
    assert machine_fault(error) is None


def test_a_command_says_what_to_do_when_there_is_too_little_memory() -> None:
    code = (
        "from contract.command import run_command\n"
        "def command(): raise MemoryError\n"
        "run_command(command, more_memory='use a machine with more')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (2, "error: out of memory; use a machine with more\n")
