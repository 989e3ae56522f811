"""Name -> class of every profiler rule."""

from typing import Final

from train.profile.rules.base import Rule
from train.profile.rules.bottlenecks import CPUBottleneck, IOBottleneck
from train.profile.rules.gpus import GPUMemoryIncrease, LoadBalancing
from train.profile.rules.steps import Dataloader, MaxInitializationTime, OverallFrameworkMetrics, StepOutlier
from train.profile.rules.utilisation import BatchSize, LowGPUUtilization, OverallSystemUsage

PROFILER_RULE_CLASSES: Final[dict[str, type[Rule]]] = {
    each.__name__: each
    for each in (
        BatchSize,
        CPUBottleneck,
        IOBottleneck,
        GPUMemoryIncrease,
        LoadBalancing,
        LowGPUUtilization,
        MaxInitializationTime,
        StepOutlier,
        Dataloader,
        OverallSystemUsage,
        OverallFrameworkMetrics,
    )
}
