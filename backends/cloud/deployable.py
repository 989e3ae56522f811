"""Whether settings that are right by themselves describe an endpoint that SageMaker can run with Kennel's image.

All faults are told at once; AWS is asked nothing.
"""

from backends.cloud.drivers import AUTO, NONE, check_processor
from backends.errors import BackendError
from backends.settings.sections import Deploy, Settings


def check_deploy(settings: Settings) -> None:
    """Raises BackendError that tells everything in [deploy] and [sagemaker] that can't be deployed."""
    chosen = settings.deploy
    faults = _scaling_faults(chosen)
    faults += _serverless_faults(settings) if chosen.kind == "serverless" else _instance_faults(chosen)
    if chosen.kind != "async" and (chosen.success_topic or chosen.error_topic):
        faults.append("success_topic and error_topic need kind async; leave them out, or set that")
    if faults:
        raise BackendError(faults[0] if len(faults) == 1 else f"{len(faults)} settings: " + " | ".join(faults))


def _scaling_faults(chosen: Deploy) -> list[str]:
    name = "provisioned_concurrency" if chosen.kind == "serverless" else "instance_count"
    count = getattr(chosen, name)
    if not chosen.max_instances or count <= chosen.max_instances:
        return []
    return [f"{name} {count} is above max_instances {chosen.max_instances}; lower the one or raise the other"]


def _instance_faults(chosen: Deploy) -> list[str]:
    faults = []
    if chosen.shift != "all" and chosen.instance_count < 2:
        faults.append(f"shift {chosen.shift} moves a fleet by parts; set instance_count to 2 or more, or shift to all")
    try:
        check_processor(chosen.instance_type)
    except BackendError as error:
        faults.append(str(error))
    return faults


def _serverless_faults(settings: Settings) -> list[str]:
    chosen, general = settings.deploy, settings.sagemaker
    faults = []
    if chosen.max_instances and not chosen.provisioned_concurrency:
        faults.append("autoscaling of a serverless endpoint moves provisioned_concurrency; set that to 1 or more")
    if chosen.max_instances > chosen.max_concurrency:
        faults.append(
            f"max_instances {chosen.max_instances} is above max_concurrency {chosen.max_concurrency}; lower the one or "
            "raise the other"
        )
    if chosen.ami not in (AUTO, NONE):
        faults.append("a serverless endpoint has no GPU, so ami must be auto or none")
    if chosen.shift != "all":
        faults.append(f"a serverless endpoint is updated at once; set shift to all, not {chosen.shift}")
    wishes = {
        "capture_percent": chosen.capture_percent,
        "network_isolation": general.network_isolation,
        "subnets": general.subnets,
    }
    if given := [name for name, value in wishes.items() if value]:
        faults.append(f"a serverless endpoint can't have {', '.join(given)}; leave it out, or set kind to realtime")
    return faults
