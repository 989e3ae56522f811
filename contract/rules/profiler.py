"""The rules that judge time and utilisation, with the names and parameters of SageMaker's profiler rules.

Where its documentation and its published configurations differ, the default is the documented value.
"""

from typing import Final

from contract.rules.spec import Parameter, RuleSpec

_PATIENCE: Final = "samples at the start that are not judged, where the job has enough others"
_SCAN: Final = "microseconds of the job from one judgement to the next while it runs"

_RULES: Final = (
    RuleSpec(
        "BatchSize",
        "CPU, GPU and GPU memory are all used little (95th percentiles below their thresholds); without a GPU, the CPU",
        "Raise batch_size, or choose a smaller instance.",
        "warning",
        {
            "cpu_threshold_p95": Parameter(70.0, "percent of CPU", 0, 100),
            "gpu_threshold_p95": Parameter(70.0, "percent of GPU", 0, 100),
            "gpu_memory_threshold_p95": Parameter(70.0, "percent of GPU memory", 0, 100),
            "patience": Parameter(1000, _PATIENCE, low=0),
            "window": Parameter(500, "samples that are judged together", low=1),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "CPUBottleneck",
        "a CPU core is above cpu_threshold while a GPU is below gpu_threshold "
        "for more than threshold percent of the time",
        "Raise workers, set freeze=backbone (features are computed once), or choose more CPU cores a GPU.",
        "warning",
        {
            "threshold": Parameter(50.0, "percent of the samples", 0, 100),
            "gpu_threshold": Parameter(10.0, "percent of GPU", 0, 100),
            "cpu_threshold": Parameter(90.0, "percent of CPU", 0, 100),
            "patience": Parameter(1000, _PATIENCE, low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "IOBottleneck",
        "I/O wait is above io_threshold while a GPU (if there is one) is below gpu_threshold for more than "
        "threshold percent of the time",
        "Pack the images in archives (python -m train.pack), use File mode, or a faster volume.",
        "warning",
        {
            "threshold": Parameter(50.0, "percent of the samples", 0, 100),
            "gpu_threshold": Parameter(70.0, "percent of GPU", 0, 100),
            "io_threshold": Parameter(50.0, "percent of I/O wait", 0, 100),
            "patience": Parameter(1000, _PATIENCE, low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "GPUMemoryIncrease",
        "the moving average of a GPU's used memory rises by more than increase percentage points",
        "Look for tensors that are kept from step to step; lower batch_size before memory runs out.",
        "warning",
        {
            "increase": Parameter(10.0, "percentage points", 0, 100),
            "patience": Parameter(100, _PATIENCE, low=0),
            "window": Parameter(500, "samples of the moving average", low=1),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "LoadBalancing",
        "the utilisation histograms of two GPUs differ by more than threshold",
        "Give every GPU the same share of each batch; look for work that only one of them does.",
        "warning",
        {
            "threshold": Parameter(0.5, "largest distance between two histograms, from 0 to 1", 0, 1),
            "patience": Parameter(1000, _PATIENCE, low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "LowGPUUtilization",
        "the 95th percentile of GPU utilisation is below threshold_p95, or it is above with a 5th percentile below "
        "threshold_p5",
        "Raise batch_size or workers, or choose a smaller instance.",
        "warning",
        {
            "threshold_p95": Parameter(70.0, "percent", 0, 100),
            "threshold_p5": Parameter(10.0, "percent", 0, 100),
            "window": Parameter(500, "samples that are judged together", low=1),
            "patience": Parameter(1000, _PATIENCE, low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "MaxInitializationTime",
        "the first step came later than threshold minutes after the start",
        "Pack the images in archives, use FastFile mode, or set feature_views lower.",
        "warning",
        {"threshold": Parameter(20.0, "minutes", low=0), "scan_interval_us": Parameter(60_000_000, _SCAN, low=0)},
    ),
    RuleSpec(
        "StepOutlier",
        "more than n_outliers steps took longer than the mean by more than stddev standard deviations",
        "Look at what happens at those times: loading of data, saving of tensors, other work on the machine.",
        "warning",
        {
            "stddev": Parameter(5.0, "standard deviations", low=0),
            "mode": Parameter("", "TRAIN or EVAL; empty: both, each on its own"),
            "n_outliers": Parameter(10, "outliers that are still well", low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "Dataloader",
        "there are more loading processes than max_threshold percent of the cores; or fewer than min_threshold, and "
        "steps wait for data",
        "Set workers nearer to the number of cores.",
        "info",
        {
            "min_threshold": Parameter(70.0, "percent of the cores", low=0),
            "max_threshold": Parameter(200.0, "percent of the cores", low=0),
            "scan_interval_us": Parameter(60_000_000, _SCAN, low=0),
        },
    ),
    RuleSpec(
        "OverallSystemUsage",
        "never: it reports the statistics of the machine's utilisation",
        "",
        "info",
        {"scan_interval_us": Parameter(60_000_000, _SCAN, low=0)},
    ),
    RuleSpec(
        "OverallFrameworkMetrics",
        "never: it reports where the time of a step goes",
        "",
        "info",
        {"scan_interval_us": Parameter(60_000_000, _SCAN, low=0)},
    ),
)

PROFILER_RULES: Final = {rule.name: rule for rule in _RULES}
