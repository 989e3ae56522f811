"""The sections of kennel.toml and their settings. Standard library only; nothing here asks AWS.

A limit that AWS sets is that of botocore's service model (1.44.5) of the call it ends up in.
"""

from dataclasses import dataclass, field
from typing import Final

from contract.options import choice, flag, number, pairs, text, texts

INSTANCE: Final = r"ml\.[a-z0-9-]+\.[a-z0-9-]+"
_INSTANCE_FORM: Final = "an instance type, as in ml.m5.large"
_TOPIC: Final = r"arn:aws[a-z-]*:sns:[a-z0-9-]*:\d{12}:[A-Za-z0-9_.-]+"
_ROLE: Final = r"arn:aws[a-z-]*:iam::\d{12}:role/[A-Za-z0-9_+=,.@/-]{1,600}|[A-Za-z0-9_+=,.@-]{1,64}"
_BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_AMI: Final = r"auto|none|al\d+-[a-z0-9-]+"
_CALLED: Final = r"[a-zA-Z_][a-zA-Z0-9_]{0,511}"
# Letters, spaces and digits of any script, and these signs; not what begins with AWS's name or ours.
_TAG: Final = r"(?![aA][wW][sS]:)(?!kennel:)[\w .:/=+@-]{1,128}"
_TAG_VALUE: Final = r"[\w .:/=+@-]{0,256}"


@dataclass(frozen=True)
class General:
    """[kennel]: where jobs run, and where their folders are."""

    on: str = text(
        "local", "local, docker, sagemaker or MODULE:CLASS", "where jobs run",
        r"local|docker|sagemaker|[A-Za-z_][\w.]*:[A-Za-z_]\w*",
    )  # fmt: skip
    image: str = text("kennel:latest", "an image's name", "container image, for Docker")
    runs: str = text("runs", "a path", "folder of the run folders")


@dataclass(frozen=True)
class AccountSettings:
    """[sagemaker]: the account, and what every job in it has in common."""

    region: str = text(
        "", "a region, as in eu-west-1", "else as AWS's own configuration says", r"[a-z]{2}(-[a-z]+)+-\d"
    )
    profile: str = text("", "a profile's name", "of AWS's own configuration")
    account: str = text("", "an account's number", "the only one to work in, whatever the credentials", r"\d{12}")
    role: str = text("", "a role's ARN or name", "the execution role that jobs and endpoints run as", _ROLE)
    bucket: str = text(
        "",
        "a bucket's name",
        "else SageMaker's default bucket of account and region",
        _BUCKET,
    )
    prefix: str = text("kennel", "a key prefix", "below which everything in the bucket lies", r"[A-Za-z0-9._/-]+")
    image: str = text("", "an image's URI", "in ECR, as build_and_push.sh prints it on its last line", r"\S{1,255}")
    kms_key: str = text(
        "", "a key's ID or ARN", "encrypts volumes and what is written to S3", r"[a-zA-Z0-9:/_-]{1,2048}"
    )
    subnets: tuple[str, ...] = texts("subnet IDs", "of the VPC that jobs and endpoints run in", r"subnet-[0-9a-f]+", 16)
    security_groups: tuple[str, ...] = texts("security group IDs", "of that VPC", r"sg-[0-9a-f]+", 5)
    network_isolation: bool = flag(
        False, "containers reach no network; weights must be in the image or given as a file"
    )
    encrypt_traffic: bool = flag(False, "between the hosts of a job")
    tags: tuple[tuple[str, str], ...] = pairs(
        "names and values", "on everything that is made, besides Kennel's own two", _TAG, _TAG_VALUE, 48
    )
    max_cost: float = number(0.0, 0.0, 1_000_000.0, "US dollars; a step that may cost more is refused; 0: no limit")
    prices: str = choice("table", ("table", "api"), "from the table that comes along, or from AWS's Pricing API")


@dataclass(frozen=True)
class Data:
    """[data]: how photos travel to S3."""

    form: str = choice("folders", ("folders", "archives"), "file by file, or one tar a split")
    input_mode: str = choice("File", ("File", "FastFile"), "FastFile reads from S3 as it goes, fast for archives only")


@dataclass(frozen=True)
class Train:
    """[train]: training jobs, and those of a search."""

    instance_type: str = text("ml.g4dn.xlarge", _INSTANCE_FORM, "what a training runs on", INSTANCE)
    instance_count: int = number(1, 1, 100, "hosts of a job")
    volume_gb: int = number(50, 1, 16_384, "disk of a host")
    max_hours: float = number(4.0, 0.1, 672.0, "after which a job is stopped, whatever it has done")
    spot: bool = flag(False, "spare capacity at a lower price, with checkpoints, waiting for it if need be")
    max_wait_hours: float = number(0.0, 0.0, 672.0, "with spot: of waiting and running together; 0: twice max_hours")
    keep_alive_minutes: int = number(0, 0, 360, "a warm pool that the next job starts in at once; it costs as it waits")
    checkpoints: bool = flag(True, "kept in S3, so that an interrupted training or search goes on")
    debugger: str = choice("auto", ("auto", "on", "off"), "SageMaker's Debugger, for accounts that still have it")
    debugger_rules: tuple[str, ...] = texts("names of built-in rules", "what SageMaker's Debugger is to judge")
    profiler: str = choice("auto", ("auto", "on", "off"), "SageMaker's system profiler and ProfilerReport, likewise")
    profiler_interval_ms: int = number(500, 100, 60_000, "between its samples: 100, 200, 500, 1000, 5000 or 60000")
    environment: tuple[tuple[str, str], ...] = pairs(
        "names and values", "environment variables of the job", _CALLED, r"[^\0]{0,512}", 100
    )


@dataclass(frozen=True)
class Tune:
    """[tune]: what a search has besides the command's own options."""

    warm_start: tuple[str, ...] = texts(
        "names of tuning jobs", "whose results a search begins with", r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,31}", 5
    )
    warm_start_same: bool = flag(True, "they had the same image and data; false: others")
    retries: int = number(0, 0, 30, "attempts more for a training job that fails for SageMaker's own fault")


@dataclass(frozen=True)
class Deploy:
    """[deploy]: endpoints."""

    kind: str = choice("realtime", ("realtime", "serverless", "async"), "of endpoint")
    instance_type: str = text("ml.m5.large", _INSTANCE_FORM, "what an endpoint runs on", INSTANCE)
    instance_count: int = number(1, 1, 1000, "at first")
    ami: str = text("auto", "auto, none or an InferenceAmiVersion", "host image, which decides the GPU's driver", _AMI)
    memory_mb: int = number(3072, 1024, 6144, "of a serverless endpoint, in steps of 1024")
    max_concurrency: int = number(5, 1, 200, "requests at once to a serverless endpoint")
    provisioned_concurrency: int = number(0, 0, 200, "kept warm for a serverless endpoint; costs as it waits")
    capture_percent: int = number(0, 0, 100, "of requests and answers to keep in S3")
    min_instances: int = number(1, 0, 1000, "of autoscaling; 0 only for asynchronous endpoints")
    max_instances: int = number(0, 0, 1000, "of autoscaling; 0: none")
    invocations_per_instance: float = number(0.0, 0.0, 1e9, "a minute; what autoscaling aims at; 0: chosen by type")
    schedule: tuple[str, ...] = texts(
        "CRON=MIN:MAX, as in 0 7 ? * MON-FRI *=2:4", "times (UTC) at which the limits of autoscaling change"
    )
    async_concurrency: int = number(4, 1, 1000, "requests at once to an instance of an asynchronous endpoint")
    success_topic: str = text("", "an SNS topic's ARN", "notified of each asynchronous answer", _TOPIC)
    error_topic: str = text("", "an SNS topic's ARN", "notified of each asynchronous failure", _TOPIC)
    shift: str = choice("all", ("all", "canary", "linear"), "how an update moves traffic to the new fleet")
    shift_percent: int = number(10, 1, 50, "of the fleet that an update moves first (canary) or at a time (linear)")
    shift_wait_s: int = number(300, 0, 3600, "of watching after each step, and before the old fleet goes")
    alarms: tuple[str, ...] = texts(
        "names of CloudWatch alarms", "that roll an update back; else Kennel makes two of its own", r".{1,255}", 10
    )
    log_level: str = choice("info", ("debug", "info", "warning", "error"), "of the server")
    environment: tuple[tuple[str, str], ...] = pairs(
        "names and values", "environment variables of the server", _CALLED, r"[^\0]{0,1024}", 100
    )


@dataclass(frozen=True)
class Transform:
    """[transform]: batch transform jobs."""

    instance_type: str = text("ml.m5.xlarge", _INSTANCE_FORM, "what a transform runs on", INSTANCE)
    instance_count: int = number(1, 1, 100, "hosts, among which the files are shared")
    max_hours: float = number(4.0, 0.1, 672.0, "after which it is stopped")


@dataclass(frozen=True)
class Evaluate:
    """[evaluate]: evaluations, as processing jobs."""

    instance_type: str = text("ml.m5.xlarge", _INSTANCE_FORM, "what an evaluation runs on", INSTANCE)
    volume_gb: int = number(50, 1, 16_384, "disk of it")
    max_hours: float = number(2.0, 0.1, 216.0, "after which it is stopped")


@dataclass(frozen=True)
class Registry:
    """[registry]: model packages."""

    group: str = text("kennel", "a group's name", "of model packages", r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


@dataclass(frozen=True)
class Settings:
    """All sections."""

    kennel: General = field(default_factory=General)
    sagemaker: AccountSettings = field(default_factory=AccountSettings)
    data: Data = field(default_factory=Data)
    train: Train = field(default_factory=Train)
    tune: Tune = field(default_factory=Tune)
    deploy: Deploy = field(default_factory=Deploy)
    transform: Transform = field(default_factory=Transform)
    evaluate: Evaluate = field(default_factory=Evaluate)
    registry: Registry = field(default_factory=Registry)
