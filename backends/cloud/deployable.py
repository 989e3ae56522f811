"""Whether the settings describe an endpoint that SageMaker can run, all faults told at once. Asks AWS nothing."""

from backends.cloud.drivers import AUTO, NONE, check_processor
from backends.cloud.schedule import schedule_faults
from backends.errors import BackendError
from backends.settings.sections import Deploy, Settings


def check_deploy(settings: Settings) -> None:
    """Raises BackendError that tells everything in [deploy] and [sagemaker] that can't be deployed."""
    chosen = settings.deploy
    faults = [*_network_faults(settings), *_scaling_faults(chosen), *schedule_faults(chosen)]
    if chosen.kind == "serverless":
        faults += _serverless_faults(settings)
    else:
        faults += _instance_faults(chosen)
    if chosen.kind != "async" and (chosen.success_topic or chosen.error_topic):
        faults.append("success_topic and error_topic need kind async; leave them out, or set that")
    if faults:
        raise BackendError(faults[0] if len(faults) == 1 else f"{len(faults)} settings: " + " | ".join(faults))


def _network_faults(settings: Settings) -> list[str]:
    chosen = settings.sagemaker
    if bool(chosen.subnets) == bool(chosen.security_groups):
        return []
    given, missing = ("subnets", "security_groups") if chosen.subnets else ("security_groups", "subnets")
    return [f"{given} are set and {missing} aren't; a VPC needs both"]


def _scaling_faults(chosen: Deploy) -> list[str]:
    if not chosen.max_instances:
        return []
    faults = []
    if chosen.min_instances > chosen.max_instances:
        faults.append(f"min_instances {chosen.min_instances} is above max_instances {chosen.max_instances}")
    if chosen.min_instances == 0 and chosen.kind != "async":
        faults.append("min_instances 0 is for asynchronous endpoints alone; set 1 or more, or kind to async")
    name = "provisioned_concurrency" if chosen.kind == "serverless" else "instance_count"
    if (count := getattr(chosen, name)) > chosen.max_instances:
        faults.append(f"{name} {count} is above max_instances {chosen.max_instances}")
    return faults


def _instance_faults(chosen: Deploy) -> list[str]:
    faults = []
    from_nothing = chosen.kind == "async" and chosen.max_instances > 0 and chosen.min_instances == 0
    if chosen.instance_count == 0 and not from_nothing:
        faults.append("instance_count 0 needs kind async, min_instances 0 and max_instances of 1 or more")
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
    if chosen.memory_mb % 1024:
        faults.append(f"memory_mb must be 1024, 2048, 3072, 4096, 5120 or 6144, got {chosen.memory_mb}")
    if chosen.provisioned_concurrency > chosen.max_concurrency:
        faults.append(
            f"provisioned_concurrency {chosen.provisioned_concurrency} is above max_concurrency "
            f"{chosen.max_concurrency}"
        )
    if chosen.max_instances and not chosen.provisioned_concurrency:
        faults.append("autoscaling of a serverless endpoint moves provisioned_concurrency; set that to 1 or more")
    if chosen.max_instances > chosen.max_concurrency:
        faults.append(f"max_instances {chosen.max_instances} is above max_concurrency {chosen.max_concurrency}")
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
