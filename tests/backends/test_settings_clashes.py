"""Settings that are allowed each, but not together."""

from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.settings.read import read


@pytest.mark.parametrize(
    ("flags", "told"),
    [
        (["subnets=subnet-1"], "[sagemaker] subnets: a VPC needs security_groups, too"),
        (["security_groups=sg-1"], "[sagemaker] security_groups: a VPC needs subnets, too"),
        (["spot=true", "train.max_hours=4", "max_wait_hours=3"],
         "[train] max_wait_hours: must be 0 or at least max_hours, 4, for it includes the running, got 3"),
        (["spot=true", "keep_alive_minutes=5"],
         "[train] keep_alive_minutes: SageMaker keeps no warm pool for spot jobs; set one of the two alone"),
        (["profiler_interval_ms=300"],
         "[train] profiler_interval_ms: must be one of 100, 200, 500, 1000, 5000, 60000, got 300"),
        (["memory_mb=1500"], "[deploy] memory_mb: must be a multiple of 1024, got 1500"),
        (["kind=serverless", "max_concurrency=5", "provisioned_concurrency=6"],
         "[deploy] provisioned_concurrency: must be max_concurrency, 5, at most, got 6"),
        (["shift=linear", "shift_percent=9"],
         "[deploy] shift_percent: a linear shift moves at least 10 at a time, got 9"),
        (["min_instances=3", "max_instances=2"],
         "[deploy] min_instances: must be max_instances, 2, at most, got 3"),
        (["min_instances=0", "max_instances=2"],
         "[deploy] min_instances: 0 is for kind async; a realtime endpoint needs 1"),
        (["schedule=0 7 ? * MON-FRI *=2:4"], "[deploy] schedule: is of autoscaling; set max_instances, too"),
        (["max_instances=4", "schedule=7:00=2:4"],
         "[deploy] schedule: must be six fields of cron, =, MIN:MAX, as in 0 7 ? * MON-FRI *=2:4, got 7:00=2:4"),
        (["max_instances=4", "schedule=0 7 * * MON *=2:4"],
         "[deploy] schedule: of the day of the month and the day of the week one must be ?, got 0 7 * * MON *=2:4"),
        (["max_instances=4", "schedule=0 7 ? * MON *=4:2"],
         "[deploy] schedule: MIN:MAX must rise to 1 at least, got 0 7 ? * MON *=4:2"),
        (["max_instances=4", "schedule=0 7 ? * MON *=0:2"],
         "[deploy] schedule: a realtime endpoint needs 1 instance at least, got 0 7 ? * MON *=0:2"),
    ],
)  # fmt: skip
def test_is_told(tmp_path: Path, flags: list[str], told: str) -> None:
    with pytest.raises(BackendError) as caught:
        read(tmp_path, flags, {})
    assert str(caught.value) == told


@pytest.mark.parametrize(
    "flags",
    [
        ["subnets=subnet-1", "security_groups=sg-1"],
        # What is set for another kind of job or endpoint waits until it is one.
        ["max_wait_hours=1"],
        ["spot=true", "train.max_hours=4", "max_wait_hours=4"],
        ["keep_alive_minutes=5"],
        ["max_concurrency=5", "provisioned_concurrency=6"],
        ["shift=canary", "shift_percent=9"],
        ["min_instances=3"],
        ["kind=async", "min_instances=0", "max_instances=2", "schedule=0 7 ? * MON *=0:2,0 19 ? * MON *=0:1"],
        ["max_instances=4", 'schedule=["0 7 ? * MON,FRI *=2:4", "0/30 0-6 1 JAN,JUL ? 2027=1:1"]'],
    ],
)
def test_is_none(tmp_path: Path, flags: list[str]) -> None:
    settings = read(tmp_path, flags, {}).settings
    assert settings.train.spot == ("spot=true" in flags)


def test_of_a_faulty_setting_no_clash_is_reported(tmp_path: Path) -> None:
    with pytest.raises(BackendError) as caught:
        read(tmp_path, ["kind=asinc", "min_instances=0", "max_instances=2"], {})
    assert str(caught.value) == "-o kind: must be one of realtime, serverless, async, got asinc"
