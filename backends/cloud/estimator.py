"""The SDK's Estimator for training jobs, from the settings; and what no such job can be."""

from collections.abc import Mapping
from typing import Any, Final

from backends.cloud.account import Account
from backends.cloud.debugger import faults as debugger_faults
from backends.cloud.names import tags
from backends.cloud.sdk import sdk
from backends.errors import BackendError
from backends.runs import Run
from backends.settings.sections import Settings
from backends.tuner import LONGEST_VALUE, metric_definitions
from contract.hyperparameters import describe_faults

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
