"""Endpoints: made, waited for, looked at. Each call that makes something is preceded by a note of it in run.json."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from backends.console import say
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account, made, note
from backends.sagemaker.endpoints.config import check_deploy, config_request, extra_environment, host_image_of, items
from backends.sagemaker.endpoints.model import create_model, model_request, serving_environment
from backends.sagemaker.endpoints.scaling import apply_scaling
from backends.sagemaker.errors import found, told, verdict
from backends.sagemaker.jobs.polling import pause
from backends.sagemaker.logs import log_group, save_tail
from backends.sagemaker.names import resource_name, tags
from backends.sagemaker.storage.artifact import place as artifact_place
from backends.sagemaker.storage.artifact import read_content, send

# What an endpoint leaves only by itself: it can't be updated or deleted meanwhile.
MOVING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class Version:
    """What an endpoint is to serve: an artifact's folder or a model package's ARN, with the settings' configuration.

    Nothing is made by looking at it. Raises BackendError when the settings or the source can't be deployed.
    """

    def __init__(self, account: Account, run: Run, source: Path | str) -> None:
        check_deploy(account.settings)
        self.account, self.run = account, run
        ami, self.note = host_image_of(account)
        self._content = read_content(source) if isinstance(source, Path) else None
        self.gigabytes = self._content.size / 1e9 if self._content else 0.0
        data = artifact_place(account, self._content).url if self._content else str(source)
        environment = {**extra_environment(account.settings), **serving_environment(account)}
        self._model = model_request(account, run, data, environment)
        self._config = config_request(account, run, self.model, ami)

    @property
    def model(self) -> str:
        return str(self._model["ModelName"])

    @property
    def config(self) -> str:
        return str(self._config["EndpointConfigName"])

    def names(self) -> dict[str, str]:
        """What of it is noted in run.json."""
        kind = self.account.settings.deploy.kind
        return {"model": self.model, "config": self.config, "endpoint_kind": kind}

    @property
    def instance_type(self) -> str:
        """Empty for a serverless one."""
        return str(self._config["ProductionVariants"][0].get("InstanceType", ""))

    def make(self) -> None:
        """Send the artifact, make model and configuration; what is there already stays as it is."""
        if self._content:
            with tempfile.TemporaryDirectory() as scratch:
                send(self.account, self._content, Path(scratch))
        create_model(self.account, self._model)
        client = self.account.client("sagemaker")
        if not found(
            f"looking for the configuration {self.config}",
            lambda: client.describe_endpoint_config(EndpointConfigName=self.config),
        ):
            with told(f"making the configuration {self.config}"):
                client.create_endpoint_config(**self._config)


def deploy(account: Account, run: Run, source: Path | str) -> str:
    """Begin an endpoint that serves an artifact's folder, or a model package by its ARN; returns its URL.

    It answers when `wait_ready` says so. Done again in the same run folder it goes on where it was ended. Raises
    BackendError, and Stopped when the person doesn't consent.
    """
    name, version = resource_name(run), Version(account, run, source)
    if version.note:
        say(version.note)
    account.consent(items(account, name, version.gigabytes))
    url = f"https://runtime.sagemaker.{account.region}.amazonaws.com/endpoints/{name}/invocations"
    run.update(url=url)
    note(account, run, endpoint=name, **version.names())
    version.make()
    there = describe(account, name)
    if there is None:
        client = account.client("sagemaker")
        with told(f"making the endpoint {name}"):
            client.create_endpoint(
                EndpointName=name, EndpointConfigName=version.config, Tags=tags(run, account.settings)
            )
    elif there["EndpointConfigName"] != version.config:
        raise BackendError(
            f"the endpoint {name} is there with other settings or another artifact; "
            f"python deploy.py deploy --on sagemaker --update {run.name} changes it"
        )
    return url


def endpoint_of(run: Run) -> str:
    """The name of a deployment's endpoint. Raises BackendError when it has none."""
    name = made(run).get("endpoint")
    if not name:
        raise BackendError(f"{run.name} has no endpoint on SageMaker; python deploy.py status lists what has")
    return str(name)


def describe(account: Account, name: str) -> dict[str, Any] | None:
    """DescribeEndpoint's answer, None when there is no such endpoint."""
    client = account.client("sagemaker")
    return found(f"looking for the endpoint {name}", lambda: client.describe_endpoint(EndpointName=name))


def is_alive(account: Account, run: Run) -> bool:
    """Whether the run's endpoint is there, in whatever state but Failed."""
    name = made(run).get("endpoint")
    there = describe(account, str(name)) if name else None
    return there is not None and there["EndpointStatus"] not in ("Failed", "Deleting")


def wait_ready(account: Account, run: Run, goes_on: Callable[[], bool]) -> bool:
    """Wait until the endpoint answers, then set its autoscaling. False when `goes_on` says no before.

    Raises BackendError with SageMaker's reason and the log's end when the endpoint has failed.
    """
    name = endpoint_of(run)
    try:
        there = settled(account, name, goes_on)
    except KeyboardInterrupt:
        raise Stopped(f"stopped before the endpoint {name} answered") from None
    if there is None:
        return False
    if there["EndpointStatus"] != "InService":
        raise BackendError(failure(account, run, there))
    apply_scaling(account, run, name)
    return True


def left(run: Run) -> str:
    """What goes on when the person won't wait until an endpoint can be removed, and how to end it."""
    name = made(run).get("endpoint") or run.name
    return (
        f"the endpoint {name} may still be there, and costs as long as it is; python deploy.py delete {run.name} ends "
        "it, and python deploy.py status --on sagemaker shows it"
    )


def settled(account: Account, name: str, goes_on: Callable[[], bool] = lambda: True) -> dict[str, Any] | None:
    """Wait until nothing about an endpoint moves, and return DescribeEndpoint's answer; None when `goes_on` says no.

    Each state is told once. Raises BackendError when the endpoint is gone.
    """
    told_before = ""
    while True:
        there = describe(account, name)
        if there is None:
            raise BackendError(f"there is no endpoint {name} any more; python deploy.py status shows what is up")
        words = state_words(there)
        if words != told_before:
            say(f"endpoint {name}: {words}")
            told_before = words
        if there["EndpointStatus"] not in MOVING:
            return there
        pause()
        if not goes_on():
            # It may be deleted because it has failed.
            there = describe(account, name)
            return None if there is None or there["EndpointStatus"] in MOVING else there


def state_words(there: dict[str, Any]) -> str:
    """What an endpoint is doing, in a few words, from DescribeEndpoint's answer."""
    pending = there.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    details = [
        each.get("StatusMessage") or each["Status"]
        for variant in [*there.get("ProductionVariants", []), *pending]
        for each in variant.get("VariantStatus", [])
    ]
    status = str(there["EndpointStatus"])
    return f"{status} ({'; '.join(dict.fromkeys(details))})" if details else status


def failure(account: Account, run: Run, there: dict[str, Any]) -> str:
    """A failed endpoint in one sentence: SageMaker's reason, what to do, and what its server said last."""
    name = str(there["EndpointName"])
    lines = save_tail(account, run, name)
    log = f"log {run.log}" if lines else f"nothing is in its log, {log_group(name)}"
    return f"{verdict(f'the endpoint {name}', str(there.get('FailureReason', '')), lines)} ({log})"
