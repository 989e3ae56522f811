"""The SDK's Estimator for training jobs, from the settings; and what no such job can be.

What a training reads, in S3: its data and weights as channels, and its hyperparameters as they are there.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from backends.base import ProgressCallback
from backends.cancel import CancelToken
from backends.errors import BackendError
from backends.inputs import PRETRAINED_CHANNEL, rules_text
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.jobs.debugger import faults as debugger_faults
from backends.sagemaker.jobs.tuner_arguments import LONGEST_VALUE, metric_definitions
from backends.sagemaker.names import tags
from backends.sagemaker.sdk import sdk
from backends.sagemaker.storage.datasets import S3DataSet, check_weights, open_dataset, upload_weights
from backends.settings.sections import Settings
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters, describe_faults

_MOST_VALUES: Final = 100  # hyperparameters of a job


def estimator(
    account: Account, run: Run, hyperparameters: Mapping[str, str], observers: Mapping[str, Any] | None = None
) -> Any:
    """The SDK's Estimator for a run's training jobs, as [sagemaker] and [train] of the settings have it.

    hyperparameters: as `Hyperparameters.to_json` gives them, all or some; a path among them is the container's.
    observers: of the Debugger, arguments of the Estimator; without them SageMaker watches nothing.
    Raises BackendError with all that such a job can't be.
    """
    train, common = account.settings.train, account.settings.sagemaker
    check_training_job(account.settings, hyperparameters)
    location = account.run_location(run)
    seconds = round(train.max_hours * 3600)
    return sdk("estimator").Estimator(
        image_uri=account.image,
        role=account.role,
        instance_count=train.instance_count,
        instance_type=train.instance_type,
        volume_size=train.volume_gb,
        max_run=seconds,
        use_spot_instances=train.spot,
        max_wait=max_wait(account.settings) if train.spot else None,
        keep_alive_period_in_seconds=train.keep_alive_minutes * 60 or None,
        checkpoint_s3_uri=(location / "checkpoints").url if train.checkpoints else None,
        input_mode=account.settings.data.input_mode,
        output_path=(location / "output").url,
        output_kms_key=common.kms_key or None,
        # Instances with their own disks encrypt them with a key of their own, and refuse another.
        volume_kms_key=account.volume_key(train.instance_type),
        subnets=list(common.subnets) or None,
        security_group_ids=list(common.security_groups) or None,
        enable_network_isolation=common.network_isolation,
        encrypt_inter_container_traffic=common.encrypt_traffic,
        environment=dict(train.environment) or None,
        metric_definitions=metric_definitions(),
        tags=tags(run, account.settings),
        hyperparameters=dict(hyperparameters),
        sagemaker_session=account.session,
        **(observers or {"debugger_hook_config": False, "disable_profiler": True}),
    )


def check_training_job(settings: Settings, hyperparameters: Mapping[str, str]) -> None:
    """Raises BackendError with every fault of such a training job. Sends AWS no request."""
    if faults := [*_faults(settings, hyperparameters), *debugger_faults(settings)]:
        raise BackendError(describe_faults("training job", faults))


def max_wait(settings: Settings) -> int:
    """Seconds that a spot job may take at most, waiting included."""
    train = settings.train
    return round((train.max_wait_hours or 2 * train.max_hours) * 3600)


def _faults(settings: Settings, hyperparameters: Mapping[str, str]) -> list[str]:
    train, common = settings.train, settings.sagemaker
    faults = []
    size = hyperparameters.get("batch_size", "")
    shared_batch = train.instance_count > 1 and hyperparameters.get("tune_trials", "0") == "0"
    if shared_batch and size.isdecimal() and int(size) < 2 * train.instance_count:
        faults.append(
            f"train.instance_count: {train.instance_count} hosts share every batch, each needs 2 images of it, and "
            f"batch_size is {size}; raise that to {2 * train.instance_count} at least"
        )
    if train.spot and train.max_wait_hours and train.max_wait_hours < train.max_hours:
        faults.append(
            f"train.max_wait_hours: waiting and running together can't be less than max_hours "
            f"({train.max_hours:g}), got {train.max_wait_hours:g}; raise it, or set 0 for twice max_hours"
        )
    if train.spot and train.keep_alive_minutes:
        faults.append("train.keep_alive_minutes: spot instances can't be kept warm; set it to 0, or spot to false")
    if bool(common.subnets) != bool(common.security_groups):
        faults.append("sagemaker.subnets and sagemaker.security_groups: one needs the other; set both or none")
    faults += [
        f"{name}: SageMaker takes at most {LONGEST_VALUE} characters, got {len(value)}; make it shorter"
        for name, value in hyperparameters.items()
        if len(value) > LONGEST_VALUE
    ]
    if len(hyperparameters) > _MOST_VALUES:
        faults.append(f"SageMaker takes at most {_MOST_VALUES} hyperparameters, got {len(hyperparameters)}")
    return faults


_INPUT: Final = "/opt/ml/input/data"


@dataclass(frozen=True)
class TrainingInputs:
    """channels: name -> URL of a prefix. hyperparameters: as the container is to read them."""

    channels: Mapping[str, str]
    hyperparameters: Hyperparameters


def for_container(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Without this machine's paths: weights are a channel's file, rules in a file travel as text.

    Raises BackendError when the rules can't be read.
    """
    train = hyperparameters
    if weights := weights_file(train):
        train = replace(train, pretrained=f"{_INPUT}/{PRETRAINED_CHANNEL}/{weights.name}")
    return replace(train, rules=_without_whitespace(rules_text(train.rules)))


def from_container(text: Mapping[str, str]) -> Hyperparameters | None:
    """Of a job's own; None when it isn't Kennel's."""
    try:
        return Hyperparameters.parse(text)
    except ConfigError:
        return None


def weights_file(hyperparameters: Hyperparameters) -> Path | None:
    """The file of weights to start from; None for ImageNet's and for none."""
    text = hyperparameters.pretrained
    return None if text in ("imagenet", "none") else Path(text)


def _without_whitespace(rules: str) -> str:
    """JSON without its white space: SageMaker limits a hyperparameter's length."""
    if not rules.lstrip().startswith(("[", "{")):
        return rules
    try:
        return json.dumps(json.loads(rules), separators=(",", ":"))
    except ValueError:
        return rules


class StagedInputs:
    """What is to travel, and hasn't yet. data: the data set, compared with what S3 has."""

    def __init__(self, account: Account, data: S3DataSet, hyperparameters: Hyperparameters) -> None:
        self._account = account
        self._hyperparameters = hyperparameters
        self.data = data

    def send(self, watch: ProgressCallback, cancel: CancelToken) -> TrainingInputs:
        """Raises BackendError, and Stopped when cancelled."""
        channels = dict(self.data.send(watch, cancel).channels)
        if weights := weights_file(self._hyperparameters):
            location = upload_weights(self._account, weights, watch, cancel)
            channels[PRETRAINED_CHANNEL] = f"{location.url}/"
        return TrainingInputs(channels, for_container(self._hyperparameters))


@contextmanager
def stage_inputs(
    account: Account, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback, cancel: CancelToken
) -> Iterator[StagedInputs]:
    """Looked through and compared with S3; what had to be packed for it is gone at the end. Raises BackendError."""
    if weights := weights_file(hyperparameters):
        check_weights(weights)
    with open_dataset(account, data, watch, cancel) as data_set:
        yield StagedInputs(account, data_set, hyperparameters)
