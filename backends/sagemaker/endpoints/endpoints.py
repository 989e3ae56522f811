"""Endpoints: made, waited for, looked at. Each call that makes something is preceded by a note of it in run.json."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from backends.console import say
from backends.errors import BackendError, Stopped
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record, update_aws_record
from backends.sagemaker.endpoints.config import (
    check_deploy,
    config_request,
    create_model,
    extra_environment,
    host_image_of,
    items,
    model_request,
    serving_environment,
)
from backends.sagemaker.endpoints.scaling import apply_scaling
from backends.sagemaker.errors import describe_failure, none_if_missing, translate_aws_errors
from backends.sagemaker.jobs.polling import pause
from backends.sagemaker.logs import log_group, save_tail
from backends.sagemaker.names import resource_name, tags
from backends.sagemaker.storage.artifact import artifact_location as artifact_place
from backends.sagemaker.storage.artifact import read_artifact, upload_content

# What an endpoint leaves only by itself: it can't be updated or deleted meanwhile.
MOVING: Final = ("Creating", "Updating", "SystemUpdating", "RollingBack", "Deleting")


class EndpointVersion:
    """What an endpoint is to serve: an artifact's folder or a model package's ARN, with the settings' configuration.

    Nothing is made by looking at it. Raises BackendError when the settings or the source can't be deployed.
    """

    def __init__(self, account: Account, run: Run, source: Path | str) -> None:
        check_deploy(account.settings)
        self.account, self.run = account, run
        ami, self.note = host_image_of(account)
        self._content = read_artifact(source) if isinstance(source, Path) else None
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
                upload_content(self.account, self._content, Path(scratch))
        create_model(self.account, self._model)
        client = self.account.client("sagemaker")
        if not none_if_missing(
            f"looking for the configuration {self.config}",
            lambda: client.describe_endpoint_config(EndpointConfigName=self.config),
        ):
            with translate_aws_errors(f"making the configuration {self.config}"):
                client.create_endpoint_config(**self._config)


def deploy(account: Account, run: Run, source: Path | str) -> str:
    """Begin an endpoint that serves an artifact's folder, or a model package by its ARN; returns its URL.

    It answers when `wait_ready` says so. Done again in the same run folder it goes on where it was ended. Raises
    BackendError, and Stopped when the person doesn't consent.
    """
    name, version = resource_name(run), EndpointVersion(account, run, source)
    if version.note:
        say(version.note)
    account.consent(items(account, name, version.gigabytes))
    url = f"https://runtime.sagemaker.{account.region}.amazonaws.com/endpoints/{name}/invocations"
    run.update(url=url)
    update_aws_record(account, run, endpoint=name, **version.names())
    version.make()
    description = describe_endpoint(account, name)
    if description is None:
        client = account.client("sagemaker")
        with translate_aws_errors(f"making the endpoint {name}"):
            client.create_endpoint(
                EndpointName=name, EndpointConfigName=version.config, Tags=tags(run, account.settings)
            )
    elif description["EndpointConfigName"] != version.config:
        raise BackendError(
            f"the endpoint {name} is there with other settings or another artifact; "
            f"python deploy.py deploy --on sagemaker --update {run.name} changes it"
        )
    return url


def endpoint_of(run: Run) -> str:
    """The name of a deployment's endpoint. Raises BackendError when it has none."""
    name = aws_record(run).get("endpoint")
    if not name:
        raise BackendError(f"{run.name} has no endpoint on SageMaker; python deploy.py status lists what has")
    return str(name)


def describe_endpoint(account: Account, name: str) -> dict[str, Any] | None:
    """DescribeEndpoint's answer, None when there is no such endpoint."""
    client = account.client("sagemaker")
    return none_if_missing(f"looking for the endpoint {name}", lambda: client.describe_endpoint(EndpointName=name))


def is_alive(account: Account, run: Run) -> bool:
    """Whether the run's endpoint is there, in whatever state but Failed."""
    name = aws_record(run).get("endpoint")
    description = describe_endpoint(account, str(name)) if name else None
    return description is not None and description["EndpointStatus"] not in ("Failed", "Deleting")


def wait_ready(account: Account, run: Run, goes_on: Callable[[], bool]) -> bool:
    """Wait until the endpoint answers, then set its autoscaling. False when `goes_on` says no before.

    Raises BackendError with SageMaker's reason and the log's end when the endpoint has failed.
    """
    name = endpoint_of(run)
    try:
        description = wait_until_settled(account, name, goes_on)
    except KeyboardInterrupt:
        raise Stopped(f"stopped before the endpoint {name} answered") from None
    if description is None:
        return False
    if description["EndpointStatus"] != "InService":
        raise BackendError(endpoint_failure(account, run, description))
    apply_scaling(account, run, name)
    return True


def still_running_message(run: Run) -> str:
    """What goes on when the person won't wait until an endpoint can be removed, and how to end it."""
    name = aws_record(run).get("endpoint") or run.name
    return (
        f"the endpoint {name} may still be there, and costs as long as it is; python deploy.py delete {run.name} ends "
        "it, and python deploy.py status --on sagemaker shows it"
    )


def wait_until_settled(
    account: Account, name: str, goes_on: Callable[[], bool] = lambda: True
) -> dict[str, Any] | None:
    """Wait until nothing about an endpoint moves, and return DescribeEndpoint's answer; None when `goes_on` says no.

    Each state is printed once. Raises BackendError when the endpoint is gone.
    """
    last_shown = ""
    while True:
        description = describe_endpoint(account, name)
        if description is None:
            raise BackendError(f"there is no endpoint {name} any more; python deploy.py status shows what is up")
        words = state_words(description)
        if words != last_shown:
            say(f"endpoint {name}: {words}")
            last_shown = words
        if description["EndpointStatus"] not in MOVING:
            return description
        pause()
        if not goes_on():
            # It may be deleted because it has failed.
            description = describe_endpoint(account, name)
            return None if description is None or description["EndpointStatus"] in MOVING else description


def state_words(description: dict[str, Any]) -> str:
    """What an endpoint is doing, in a few words, from DescribeEndpoint's answer."""
    pending = description.get("PendingDeploymentSummary", {}).get("ProductionVariants", [])
    details = [
        each.get("StatusMessage") or each["Status"]
        for variant in [*description.get("ProductionVariants", []), *pending]
        for each in variant.get("VariantStatus", [])
    ]
    status = str(description["EndpointStatus"])
    return f"{status} ({'; '.join(dict.fromkeys(details))})" if details else status


def endpoint_failure(account: Account, run: Run, description: dict[str, Any]) -> str:
    """A failed endpoint in one sentence: SageMaker's reason, what to do, and what its server said last."""
    name = str(description["EndpointName"])
    lines = save_tail(account, run, name)
    log = f"log {run.log}" if lines else f"nothing is in its log, {log_group(name)}"
    return f"{describe_failure(f'the endpoint {name}', str(description.get('FailureReason', '')), lines)} ({log})"
