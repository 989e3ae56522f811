"""How a job or an endpoint of SageMaker ended, from its FailureReason and its log: one sentence with the next step."""

import re
from collections.abc import Sequence
from typing import Final

from backends.cloud.advice import one_line
from backends.cloud.refusals import QUOTAS

_TAIL: Final = 3
_LINE: Final = 200
# Secondary statuses of a job that was ended for its own limits.
_LIMITS: Final = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
_AGAIN: Final = "repeat it; what is done stays done"
_NO_ROLE: Final = "see whether it is there, and whether the execution role has docs/iam/execution-role.json"
# (words of the reason, or of the log's last lines; what to do). The first that fits.
_STEPS: Final = (
    ("exec format error", "the image is for another processor: build it with docker/build.sh and push it again"),
    ("Unsupported manifest", "push the image again with ./build_and_push.sh, which sends it in Docker's own form"),
    ("insufficient.?(instance.?)?capacity|CapacityError|unable to provision",
     "repeat it later, or with another instance type or region"),
    ("service limit|ResourceLimitExceeded", f"raise that quota at {QUOTAS}, or choose another instance type"),
    ("MaxRuntimeExceeded", "it took longer than it may: raise max_hours in kennel.toml"),
    ("MaxWaitTimeExceeded", "no spare capacity came in time: raise max_wait_hours in [train], or set spot = false"),
    ("out of memory|OutOfMemory|exit code: 137|MemoryError|Cannot allocate memory",
     "memory ran out: take a larger instance type or a smaller batch_size"),
    ("no space left", "the disk is full: raise volume_gb in kennel.toml"),
    ("Image size", "a serverless endpoint takes images of 10 GB at most: build the image with TORCH=cpu"),
    ("assume|trust", "give the execution role the trust policy docs/iam/execution-role-trust.json"),
    ("download|s3:|NoSuchKey|NoSuchBucket|AccessDenied|not authorized|Access denied", _NO_ROLE),
    ("CannotStartContainer|ping health check|allotted .* timeout|invoked with 'docker run",
     "see whether the server starts on this machine: docker run IMAGE serve"),
    ("Cannot pull|pull access|image .*(not found|does not exist)",
     "push the image (./build_and_push.sh kennel) and set image in [sagemaker]"),
    ("InternalServerError|internal error|Request to service failed|InternalFailure", _AGAIN),
)  # fmt: skip


def verdict(what: str, reason: str, log: Sequence[str] = ()) -> str:
    """`WHAT failed: CAUSE; NEXT STEP; its log ends: LINES`.

    what: as in "the training job kennel-first-1a2b3c". reason: its FailureReason, or its last secondary status; may be
    empty. log: its last lines, for what leaves its cause there; a cause that the container itself has told needs none.
    """
    lines = [one_line(line)[:_LINE] for line in log if line.strip()]
    cause, told = _cause(reason)
    step = next((step for words, step in _STEPS if _found(words, [reason, *lines[-50:]])), "")
    ended = "was stopped" if cause in _LIMITS else "failed"
    parts = [f"{what} {ended}" + (f": {cause}" if cause else "")]
    if step and not told:
        parts.append(step)
    if lines and not told:
        parts.append("its log ends: " + " / ".join(_tail(lines)))
    return "; ".join(parts)


def _cause(reason: str) -> tuple[str, bool]:
    """What a reason says, without SageMaker's wrapping; and whether Kennel's own container has said it."""
    first = next((line for line in reason.splitlines() if line.strip()), "")
    found = re.fullmatch(r"AlgorithmError:\s*(.*?)(?:,? ?exit code: (\d+))?", first.strip())
    if found is None:
        return one_line(first), False
    words = one_line(found[1].removeprefix("ClientError: ")).strip(" ,")
    if not words:
        return f"exit code {found[2]}" if found[2] else "", False
    # The failure file holds Kennel's own sentence, which tells the next step itself.
    return words, True


def _found(words: str, texts: Sequence[str]) -> bool:
    return any(re.search(words, text, re.IGNORECASE) for text in texts)


def _tail(lines: Sequence[str]) -> list[str]:
    """The last lines; before them the last that says error, when it isn't one of them."""
    errors = [line for line in lines[-50:-_TAIL] if re.match(r"(error|ClientError|AlgorithmError): ", line)]
    return [*errors[-1:], *lines[-_TAIL:]]
