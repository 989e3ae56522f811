"""Settings that are allowed each, but not together, or in a form that a pattern can't say."""

import re
from collections.abc import Iterator
from typing import Final

from backends.settings.names import Name
from backends.settings.sections import Deploy, Settings

_INTERVALS_MS: Final = (100, 200, 500, 1000, 5000, 60_000)
# Minutes, hours, day of the month, month, day of the week, year; then the limits.
_SCHEDULE: Final = re.compile(r"([\w,*/?#-]+(?: [\w,*/?#-]+){5})=(\d{1,4}):(\d{1,4})")

Clash = tuple[tuple[Name, ...], str]


def clashes(settings: Settings) -> Iterator[Clash]:
    """(the settings involved, what is wrong and what to do)."""
    yield from _account(settings)
    yield from _training(settings)
    yield from _endpoint(settings.deploy)
    yield from _scaling(settings.deploy)


def _clash(section: str, keys: str, told: str) -> Clash:
    """keys: separated by spaces, the first of them the one to name."""
    names = tuple(Name(section, key) for key in keys.split())
    return names, f"[{section}] {names[0].key}: {told}"


def _account(settings: Settings) -> Iterator[Clash]:
    account = settings.sagemaker
    if account.subnets and not account.security_groups:
        yield _clash("sagemaker", "subnets security_groups", "a VPC needs security_groups, too")
    if account.security_groups and not account.subnets:
        yield _clash("sagemaker", "security_groups subnets", "a VPC needs subnets, too")


def _training(settings: Settings) -> Iterator[Clash]:
    train = settings.train
    if train.spot and 0 < train.max_wait_hours < train.max_hours:
        yield _clash(
            "train", "max_wait_hours max_hours spot",
            f"must be 0 or at least max_hours, {train.max_hours:g}, for it includes the running, got "
            f"{train.max_wait_hours:g}",
        )  # fmt: skip
    if train.spot and train.keep_alive_minutes:
        yield _clash(
            "train", "keep_alive_minutes spot", "SageMaker keeps no warm pool for spot jobs; set one of the two alone"
        )
    if train.profiler_interval_ms not in _INTERVALS_MS:
        known = ", ".join(map(str, _INTERVALS_MS))
        yield _clash("train", "profiler_interval_ms", f"must be one of {known}, got {train.profiler_interval_ms}")


def _endpoint(deploy: Deploy) -> Iterator[Clash]:
    if deploy.memory_mb % 1024:
        yield _clash("deploy", "memory_mb", f"must be a multiple of 1024, got {deploy.memory_mb}")
    if deploy.kind == "serverless" and deploy.provisioned_concurrency > deploy.max_concurrency:
        yield _clash(
            "deploy", "provisioned_concurrency max_concurrency kind",
            f"must be max_concurrency, {deploy.max_concurrency}, at most, got {deploy.provisioned_concurrency}",
        )  # fmt: skip
    if deploy.shift == "linear" and deploy.shift_percent < 10:
        yield _clash(
            "deploy", "shift_percent shift", f"a linear shift moves at least 10 at a time, got {deploy.shift_percent}"
        )


def _scaling(deploy: Deploy) -> Iterator[Clash]:
    on = deploy.max_instances > 0
    if on and deploy.min_instances > deploy.max_instances:
        yield _clash(
            "deploy", "min_instances max_instances",
            f"must be max_instances, {deploy.max_instances}, at most, got {deploy.min_instances}",
        )  # fmt: skip
    if on and deploy.min_instances == 0 and deploy.kind != "async":
        yield _clash(
            "deploy", "min_instances max_instances kind", f"0 is for kind async; a {deploy.kind} endpoint needs 1"
        )
    if deploy.schedule and not on:
        yield _clash("deploy", "schedule max_instances", "is of autoscaling; set max_instances, too")
    for entry in deploy.schedule:
        yield from _scheduled(entry, deploy)


def _scheduled(entry: str, deploy: Deploy) -> Iterator[Clash]:
    form = _SCHEDULE.fullmatch(entry)
    if form is None:
        yield _clash(
            "deploy", "schedule", f"must be six fields of cron, =, MIN:MAX, as in 0 7 ? * MON-FRI *=2:4, got {entry}"
        )
        return
    fields, least, most = form[1].split(), int(form[2]), int(form[3])
    if [fields[2], fields[4]].count("?") != 1:
        yield _clash(
            "deploy", "schedule", f"of the day of the month and the day of the week one must be ?, got {entry}"
        )
    if least > most or most == 0:
        yield _clash("deploy", "schedule", f"MIN:MAX must rise to 1 at least, got {entry}")
    if least == 0 and deploy.kind != "async":
        yield _clash("deploy", "schedule kind", f"a {deploy.kind} endpoint needs 1 instance at least, got {entry}")
