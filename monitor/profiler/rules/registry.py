"""Name -> class of every profiler rule."""

from typing import Final

from monitor.profiler.rules.base import Rule
from monitor.profiler.rules.bottlenecks import CPUBottleneck, GPUMemoryIncrease, IOBottleneck, LoadBalancing
from monitor.profiler.rules.steps import Dataloader, MaxInitializationTime, OverallFrameworkMetrics, StepOutlier
from monitor.profiler.rules.utilisation import BatchSize, LowGPUUtilization, OverallSystemUsage

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
