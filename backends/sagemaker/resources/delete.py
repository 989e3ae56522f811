"""Removing what Kennel has in the account: by tag and name alone, whatever a run folder says or doesn't."""

import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.endpoints.endpoints import describe_endpoint
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.sagemaker.jobs.polling import pause
from backends.sagemaker.names import MAX_NAME_LENGTH, STEM, resource_name
from backends.sagemaker.resources.inventory import list_resources
from backends.sagemaker.resources.jobs import JOB_KINDS, RUNNING
from backends.sagemaker.resources.resource import DATA, JOBS, Resource, ResourceKind, in_removal_order
from backends.sagemaker.resources.storage import remove_all_versions

Say = Callable[[str], None]
# kind -> (service, call). A job that is removed is one that is stopped: its record stays, and costs nothing.
_CALLS: Final[dict[ResourceKind, tuple[str, str]]] = {
    "scheduled action": ("application-autoscaling", "delete_scheduled_action"),
    "scaling policy": ("application-autoscaling", "delete_scaling_policy"),
    "scaling target": ("application-autoscaling", "deregister_scalable_target"),
    "tuning job": ("sagemaker", "stop_hyper_parameter_tuning_job"),
    "training job": ("sagemaker", "stop_training_job"),
    "warm pool": ("sagemaker", "update_training_job"),
    "transform job": ("sagemaker", "stop_transform_job"),
    "processing job": ("sagemaker", "stop_processing_job"),
    "endpoint": ("sagemaker", "delete_endpoint"),
    "endpoint configuration": ("sagemaker", "delete_endpoint_config"),
    "model": ("sagemaker", "delete_model"),
    "alarm": ("cloudwatch", "delete_alarms"),
    "model package": ("sagemaker", "delete_model_package"),
    "model package group": ("sagemaker", "delete_model_package_group"),
    "log group": ("logs", "delete_log_group"),
    "unfinished upload": ("s3", "abort_multipart_upload"),
}
# An endpoint that is being made or changed can't be deleted before it is done, which takes minutes.
_BUSY: Final = re.compile(
    r"in-progress|in progress|being (created|updated)|status.{0,20}(Creating|Updating)", re.IGNORECASE
)
_LIMIT_S: Final = 1800.0
# What is asked to end, and has ended, before anything is removed that it uses or writes to.
_FIRST: Final[frozenset[ResourceKind]] = frozenset(
    ("scheduled action", "scaling policy", "scaling target", "warm pool", "endpoint", *JOBS)
)
_ENDING: Final = ("Stopping", "Deleting")
# What of a run's name is in its name in the account.
_ROOM: Final = MAX_NAME_LENGTH - len(f"{STEM}--123456")


def plan_removal(account: Account, run_or_name: Run | str, with_data: bool = False) -> list[Resource]:
    """What there is of a run in the account, in the order in which it has to go; with_data: what it left in S3, too.

    run_or_name: as of `of_run`.
    """
    return [each for each in resources_of_run(list_resources(account), run_or_name) if with_data or not each.is_data]


def resources_of_run(resources: Sequence[Resource], run_or_name: Run | str) -> list[Resource]:
    """Those of one run; or the one thing that has this name itself, as a data set's s3://....

    run_or_name: a run, its name, or its name in the account, as `status` shows it. Raises BackendError for a name that
    several runs of the account have.
    """
    if isinstance(run_or_name, Run):
        record = run_or_name.record.get("sagemaker") or {}
        # An attached run's things may be another folder's run.
        own = {resource_name(run_or_name), record.get("name"), record.get("endpoint"), record.get("job")}
        return [each for each in resources if each.run and {each.run, each.name} & own]
    whose = _resolve(resources, run_or_name)
    return [each for each in resources if each.run == whose or each.name.rstrip("/") == run_or_name.rstrip("/")]


def _resolve(resources: Sequence[Resource], name: str) -> str:
    runs = sorted({each.run for each in resources if each.run})
    if name in runs:
        return name
    pattern = re.compile(rf"{STEM}-{re.escape(name[:_ROOM].rstrip('-'))}-[0-9a-f]{{6}}")
    matching = [run for run in runs if pattern.fullmatch(run)]
    if len(matching) > 1:
        raise BackendError(
            f"{len(matching)} runs in the account are named {name}: {', '.join(matching)}; give one of these"
        )
    return matching[0] if matching else name


def delete_resources(account: Account, resources: Sequence[Resource], say: Say = lambda _: None) -> None:
    """Remove the things, in their order, and wait until they are gone. What is gone already is passed over.

    say: called with each step. Raises BackendError when some can't be removed, after the others that don't depend on
    them.
    """
    ordered = in_removal_order(list(resources))
    stages = (
        [each for each in ordered if each.kind in _FIRST],
        [each for each in ordered if each.kind not in _FIRST | DATA],
        [each for each in ordered if each.kind in DATA],
    )
    for stage in stages:
        asked, faults = _each(stage, lambda resource: _remove(account, resource, say))
        _, late = _each(asked, lambda resource: _await(account, resource, say))
        if faults or late:
            raise BackendError(f"{'; '.join(faults + late)}; the same command goes on from here")


def left_behind(account: Account, removed: Sequence[Resource]) -> list[Resource]:
    """What the removed runs' endpoints and jobs left behind only while they ended, in the order of removal: an endpoint
    that was being made has no log yet, and a job that is stopped still writes what it has.
    """
    runs = {each.run for each in removed if each.kind in ("endpoint", *JOBS) and each.run}
    return [each for each in list_resources(account) if each.is_data and each.run in runs] if runs else []


def _each(resources: Sequence[Resource], act: Callable[[Resource], None]) -> tuple[list[Resource], list[str]]:
    """Those that it went well with, and what went wrong with the others."""
    done, faults = [], []
    for resource in resources:
        try:
            act(resource)
            done.append(resource)
        except BackendError as error:
            faults.append(str(error))
    return done, faults


def _remove(account: Account, resource: Resource, say: Say) -> None:
    if resource.state in _ENDING:
        return
    if resource.kind == "objects":
        say(f"removing {resource.name} ({resource.detail})")
        remove_all_versions(account, resource.handle)
        return
    say(f"{'stopping' if resource.kind in JOBS else 'removing'} {resource.kind} {resource.name}")
    if resource.kind == "endpoint":
        _remove_endpoint(account, resource, say)
    else:
        _call(account, resource)


def _call(account: Account, resource: Resource) -> None:
    service, operation = _CALLS[resource.kind]
    ask = getattr(account.client(service), operation)
    try:
        with translate_aws_errors(f"removing {resource.kind} {resource.name}"):
            ask(**_request(resource))
    except AwsError as refused:
        # A job may have ended, or have been stopped, since it was listed.
        if not refused.missing and _job_status(account, resource) in ("", "InProgress"):
            raise


def _request(resource: Resource) -> dict[str, Any]:
    if resource.kind == "alarm":
        return {"AlarmNames": [resource.handle["AlarmName"]]}
    if resource.kind == "warm pool":
        return {**resource.handle, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}}
    return dict(resource.handle)


def _job_status(account: Account, resource: Resource) -> str:
    """A job's status; "Deleted" when there is none of its name. Empty for what is no job."""
    if resource.kind not in JOB_KINDS:
        return ""
    api = JOB_KINDS[resource.kind].api
    answer = api.describe(account, resource.name)
    return "Deleted" if answer is None else str(answer[api.status])


def _remove_endpoint(account: Account, resource: Resource, say: Say) -> None:
    def removed() -> bool:
        try:
            _call(account, resource)
        except AwsError as error:
            if not _BUSY.search(error.fault.message):
                raise
            return False
        return True

    what = f"endpoint {resource.name}"
    waiting = f"{what} is being made or changed and can't be removed before that is done; waiting"
    _until(removed, waiting, f"{what} was to be removed and is still being made or changed", say)


def _await(account: Account, resource: Resource, say: Say) -> None:
    """Wait until a job has ended or an endpoint is gone: they take a minute or several, and cost as long."""
    what = f"{resource.kind} {resource.name}"

    def ended() -> bool:
        if resource.kind == "endpoint":
            return describe_endpoint(account, resource.name) is None
        return _job_status(account, resource) not in RUNNING

    if resource.kind in ("endpoint", *JOBS):
        _until(ended, f"waiting for {what} to end", f"{what} was asked to end and hasn't", say)


def _until(done: Callable[[], bool], waiting: str, overdue: str, say: Say) -> None:
    """Poll until it is done; says `waiting` once if it isn't at first. Raises BackendError when it takes too long."""
    end = time.monotonic() + _LIMIT_S
    waited = False
    while not done():
        if time.monotonic() > end:
            raise BackendError(f"{overdue} after {_LIMIT_S / 60:.0f} minutes")
        if not waited:
            say(waiting)
        waited = True
        pause()
