"""Run folders for what is in the account already: a job or an endpoint, whoever started it."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from backends.errors import BackendError
from backends.runs import Run, all_runs, create_run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.endpoints.endpoints import describe_endpoint
from backends.sagemaker.jobs.api import TRAINING
from backends.sagemaker.jobs.estimator import from_container

Answer = Mapping[str, Any]
# Where a run's record has the name of what it has in the account.
_KEYS = ("job", "tuning_job", "endpoint", "transform_job", "processing_job", "name")


def attach(account: Account, name: str, runs: Path) -> Run:
    """The run folder of a run's name, or of a training job's or an endpoint's in the account, made if there is none.

    Raises BackendError when there is nothing of that name.
    """
    if run := find_known_run(runs, name):
        return run
    for look, adopt in ((TRAINING.describe, _adopt_job), (describe_endpoint, _adopt_endpoint)):
        if (answer := look(account, name)) is not None:
            return adopt(account, name, runs, answer)
    raise BackendError(
        f"there is no run {name} in {runs}, and no training job or endpoint {name} in {account.region}; "
        "python deploy.py status --on sagemaker lists what there is"
    )


def find_known_run(runs: Path, name: str) -> Run | None:
    """The run of that name, or the newest that has something of that name in the account."""
    known = all_runs(runs)
    for run in known:
        if run.name == name:
            return run
    return next((run for run in reversed(known) if name in {aws_record(run).get(key) for key in _KEYS}), None)


def _adopt_job(account: Account, name: str, runs: Path, answer: Answer) -> Run:
    channels = {
        each["ChannelName"]: each["DataSource"].get("S3DataSource", {}).get("S3Uri", "")
        for each in answer.get("InputDataConfig", [])
    }
    resources = answer["ResourceConfig"]
    run = create_run(
        runs, "training", _unused_name(runs, name), backend="sagemaker", attached=True,
        data=next(iter(channels.values()), ""), hyperparameters=_hyperparameters(answer.get("HyperParameters", {})),
    )  # fmt: skip
    hosts = f"{resources.get('InstanceCount', 1)} x {resources.get('InstanceType', 'its instances')}"
    update_aws_record(account, run, name=name, job=name, hosts=hosts, log_from=0, fetched=False, channels=channels)
    return run


def _hyperparameters(values: Mapping[str, str]) -> dict[str, Any]:
    """As a run's record has them where the job is Kennel's own, else as they are."""
    hyperparameters = from_container(values)
    return asdict(hyperparameters) if hyperparameters else dict(values)


def _adopt_endpoint(account: Account, name: str, runs: Path, answer: Answer) -> Run:
    url = f"https://runtime.sagemaker.{account.region}.amazonaws.com/endpoints/{name}/invocations"
    run = create_run(
        runs, "deployment", _unused_name(runs, name), backend="sagemaker", attached=True, artifact="", url=url
    )
    update_aws_record(account, run, name=name, endpoint=name, config=answer.get("EndpointConfigName", ""))
    return run


def _unused_name(runs: Path, name: str) -> str:
    """The name, or with a number where a folder that is no run of it has it."""
    number, free = 1, name
    while (runs / free).exists():
        number += 1
        free = f"{name[: 60 - len(str(number))]}-{number}"
    return free
