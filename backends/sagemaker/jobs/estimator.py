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
from backends.sagemaker.storage.datasets import DataSet, check_weights, opened, upload_weights
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
    Raises BackendError that tells all at once what such a job can't be.
    """
    chosen, common = account.settings.train, account.settings.sagemaker
    check(account.settings, hyperparameters)
    place = account.place(run)
    seconds = round(chosen.max_hours * 3600)
    return sdk("estimator").Estimator(
        image_uri=account.image,
        role=account.role,
        instance_count=chosen.instance_count,
        instance_type=chosen.instance_type,
        volume_size=chosen.volume_gb,
        max_run=seconds,
        use_spot_instances=chosen.spot,
        max_wait=max_wait(account.settings) if chosen.spot else None,
        keep_alive_period_in_seconds=chosen.keep_alive_minutes * 60 or None,
        checkpoint_s3_uri=(place / "checkpoints").url if chosen.checkpoints else None,
        input_mode=account.settings.data.input_mode,
        output_path=(place / "output").url,
        output_kms_key=common.kms_key or None,
        # Instances with their own disks encrypt them with a key of their own, and refuse another.
        volume_kms_key=common.kms_key if common.kms_key and has_volumes(chosen.instance_type) else None,
        subnets=list(common.subnets) or None,
        security_group_ids=list(common.security_groups) or None,
        enable_network_isolation=common.network_isolation,
        encrypt_inter_container_traffic=common.encrypt_traffic,
        environment=dict(chosen.environment) or None,
        metric_definitions=metric_definitions(),
        tags=tags(run, account.settings),
        hyperparameters=dict(hyperparameters),
        sagemaker_session=account.session,
        **(observers or {"debugger_hook_config": False, "disable_profiler": True}),
    )


def check(settings: Settings, hyperparameters: Mapping[str, str]) -> None:
    """Raises BackendError that tells all at once what a training job with these can't be. Asks nothing of AWS."""
    if faults := [*_faults(settings, hyperparameters), *debugger_faults(settings)]:
        raise BackendError(describe_faults("training job", faults))


def max_wait(settings: Settings) -> int:
    """Seconds that a spot job may take at most, waiting included."""
    chosen = settings.train
    return round((chosen.max_wait_hours or 2 * chosen.max_hours) * 3600)


def has_volumes(instance_type: str) -> bool:
    """Whether its disk is a volume that is paid for, and not the instance's own."""
    return bool(sdk("utils").instance_supports_kms(instance_type))


def _faults(settings: Settings, hyperparameters: Mapping[str, str]) -> list[str]:
    chosen, common = settings.train, settings.sagemaker
    faults = []
    size = hyperparameters.get("batch_size", "")
    together = chosen.instance_count > 1 and hyperparameters.get("tune_trials", "0") == "0"
    if together and size.isdecimal() and int(size) < 2 * chosen.instance_count:
        faults.append(
            f"train.instance_count: {chosen.instance_count} hosts share every batch, each needs 2 images of it, and "
            f"batch_size is {size}; raise that to {2 * chosen.instance_count} at least"
        )
    if chosen.spot and chosen.max_wait_hours and chosen.max_wait_hours < chosen.max_hours:
        faults.append(
            f"train.max_wait_hours: waiting and running together can't be less than max_hours "
            f"({chosen.max_hours:g}), got {chosen.max_wait_hours:g}; raise it, or set 0 for twice max_hours"
        )
    if chosen.spot and chosen.keep_alive_minutes:
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
class Inputs:
    """channels: name -> URL of a prefix. hyperparameters: as the container is to read them."""

    channels: Mapping[str, str]
    hyperparameters: Hyperparameters


def travelling(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Without this machine's paths: weights are a channel's file, rules in a file travel as text.

    Raises BackendError when the rules can't be read.
    """
    chosen = hyperparameters
    if weights := weights_file(chosen):
        chosen = replace(chosen, pretrained=f"{_INPUT}/{PRETRAINED_CHANNEL}/{weights.name}")
    return replace(chosen, rules=_short(rules_text(chosen.rules)))


def from_container(given: Mapping[str, str]) -> Hyperparameters | None:
    """Of a job's own; None when it isn't Kennel's."""
    try:
        return Hyperparameters.parse(given)
    except ConfigError:
        return None


def weights_file(hyperparameters: Hyperparameters) -> Path | None:
    """The file of weights to start from; None for ImageNet's and for none."""
    given = hyperparameters.pretrained
    return None if given in ("imagenet", "none") else Path(given)


def _short(rules: str) -> str:
    """JSON without its white space: SageMaker limits a hyperparameter's length."""
    if not rules.lstrip().startswith(("[", "{")):
        return rules
    try:
        return json.dumps(json.loads(rules), separators=(",", ":"))
    except ValueError:
        return rules


class Luggage:
    """What is to travel, and hasn't yet. data: the data set, compared with what S3 has."""

    def __init__(self, account: Account, data: DataSet, hyperparameters: Hyperparameters) -> None:
        self._account = account
        self._hyperparameters = hyperparameters
        self.data = data

    def send(self, watch: ProgressCallback, cancel: CancelToken) -> Inputs:
        """Raises BackendError, and Stopped when cancelled."""
        channels = dict(self.data.send(watch, cancel).channels)
        if weights := weights_file(self._hyperparameters):
            place = upload_weights(self._account, weights, watch, cancel)
            channels[PRETRAINED_CHANNEL] = f"{place.url}/"
        return Inputs(channels, travelling(self._hyperparameters))


@contextmanager
def luggage(
    account: Account, data: Path, hyperparameters: Hyperparameters, watch: ProgressCallback, cancel: CancelToken
) -> Iterator[Luggage]:
    """Looked through and compared with S3; what had to be packed for it is gone at the end. Raises BackendError."""
    if weights := weights_file(hyperparameters):
        check_weights(weights)
    with opened(account, data, watch, cancel) as found:
        yield Luggage(account, found, hyperparameters)
