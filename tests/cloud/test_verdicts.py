"""A failed job or endpoint: its reason in one sentence, with the next step, and the log where the cause lies there."""

import pytest

from backends.sagemaker.errors import describe_failure

ROLE = "see whether it is there, and whether the execution role has docs/iam/execution-role.json"


@pytest.mark.parametrize(
    ("reason", "told"),
    [
        # What the container has told itself, the log can't say better.
        ("AlgorithmError: ClientError: lr must be from 1e-7 to 10.0, got 20.0, exit code: 2",
         "failed: lr must be from 1e-7 to 10.0, got 20.0"),
        ("AlgorithmError: AlgorithmError: the loss is not a number\nTraceback\n  ..., exit code: 1",
         "failed: AlgorithmError: the loss is not a number"),
        ("AlgorithmError: , exit code: 137",
         ("failed: exit code 137; memory ran out: take a larger instance type or a smaller batch_size; its log ends: "
          "a / b")),
        ("AlgorithmError: , exit code: 3", "failed: exit code 3; its log ends: a / b"),
        ("CapacityError: Unable to provision requested ML compute capacity.",
         ("failed: CapacityError: Unable to provision requested ML compute capacity; repeat it later, or with another "
         "instance type or region; its log ends: a / b")),
        ("ClientError: Data download failed:NoSuchKey (404): s3://b/k",
         f"failed: ClientError: Data download failed:NoSuchKey (404): s3://b/k; {ROLE}; its log ends: a / b"),
        ("InternalServerError: We encountered an internal error. Please try again.",
         ("failed: InternalServerError: We encountered an internal error. Please try again; repeat it; what is done "
         "stays done; its log ends: a / b")),
        ("MaxRuntimeExceeded",
         ("was stopped: MaxRuntimeExceeded; it took longer than it may: raise max_hours in kennel.toml; its log ends: "
         "a / b")),
        ("", "failed; its log ends: a / b"),
    ],
)  # fmt: skip
def test_a_jobs_reason(reason: str, told: str) -> None:
    assert describe_failure("the training job kennel-a", reason, ["a", "", "b"]) == f"the training job kennel-a {told}"


PING = "The primary container for production variant AllTraffic did not pass the ping health check. Please check."


def test_an_endpoint_that_did_not_come_up_tells_its_logs_end() -> None:
    log = [*(f"line {number}" for number in range(60)), "error: there is no artifact", "bye", "x" * 300, "", "the end."]
    assert describe_failure("the endpoint kennel-a", PING, log) == (
        f"the endpoint kennel-a failed: {PING[:-1]}; see whether the server starts on this machine: docker run IMAGE "
        f"serve; its log ends: error: there is no artifact / bye / {'x' * 200} / the end"
    )


def test_an_error_above_the_last_lines_is_told_first() -> None:
    log = ["error: old", *["line"] * 50, "error: there is no artifact", "a", "b", "c"]
    assert describe_failure("e", PING, log).endswith("its log ends: error: there is no artifact / a / b / c")


def test_the_log_knows_what_the_reason_does_not() -> None:
    told = describe_failure("the endpoint kennel-a", PING, ["exec /entrypoint.sh: exec format error"])
    assert "; the image is for another processor: build it with docker/build.sh and push it again; its log" in told


@pytest.mark.parametrize(
    ("reason", "step"),
    [
        ("Failed to download model data for container", ROLE),
        ("CannotStartContainerError. Please ensure",
         "see whether the server starts on this machine: docker run IMAGE serve"),
        ("Image size 12054711337 is greater than supported size 10737418240",
         "a serverless endpoint takes images of 10 GB at most: build the image with TORCH=cpu"),
        ("Unable to provision requested ML compute capacity due to InsufficientInstanceCapacity error",
         "repeat it later, or with another instance type or region"),
        ("MaxWaitTimeExceeded", "no spare capacity came in time: raise max_wait_hours in [train], or set spot = false"),
        ("ClientError: Artifact upload failed:Insufficient disk space: No space left on device",
         "the disk is full: raise volume_gb in kennel.toml"),
    ],
)  # fmt: skip
def test_the_next_step(reason: str, step: str) -> None:
    assert describe_failure("it", reason).endswith(f"; {step}")


def test_nothing_known_is_still_a_sentence() -> None:
    assert describe_failure("the transform job kennel-a", "") == "the transform job kennel-a failed"
