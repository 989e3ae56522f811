"""An evaluation, or a comparison of two artifacts, as a processing job: the image's own commands on data in S3."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken, cancel_on_signals
from backends.errors import BackendError
from backends.inputs import check_data_path, place_inside
from backends.runs import Run, create_run, recorded
from backends.sagemaker.account import Account, update_aws_record
from backends.sagemaker.billing.items import Item
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.jobs import api
from backends.sagemaker.jobs.job import check_completed
from backends.sagemaker.jobs.polling import wait_for_job
from backends.sagemaker.names import S3Location, resource_name, tags
from backends.sagemaker.sdk import sdk
from backends.sagemaker.storage import artifact as artifact_store
from backends.sagemaker.storage import datasets as data_sets
from backends.sagemaker.storage.objects import download_objects

_ROOT: Final = "/opt/ml/processing"
_DATA: Final = f"{_ROOT}/data"
_OUTPUT: Final = f"{_ROOT}/output"
# In the order in which the command chooses, docs/evaluation.md.
_SPLITS: Final = ("test", "testing", "valid", "validation", "val")


@dataclass(frozen=True)
class EvaluationRequest:
    """What is evaluated, on which data, into which report; compared with a baseline where there is one."""

    artifact: Path
    data: Path
    report: Path
    baseline: Path | None = None

    @property
    def module(self) -> str:
        """The command of the image that does it."""
        return "train.evaluate" if self.baseline is None else "train.compare"

    @property
    def document(self) -> str:
        """The report's name without its ending, in the job."""
        return "evaluation" if self.baseline is None else "comparison"


def evaluate(
    account: Account, artifact: Path, data: Path, report: Path, watch: ProgressCallback, baseline: Path | None = None,
    cancel: CancelToken | None = None,
) -> None:  # fmt: skip
    """Evaluate in a run folder of its own, and put the report (JSON) and its page where `report` says.

    cancel: ends it; without one, Ctrl-C and SIGTERM do, in the main thread alone.
    Raises BackendError; Stopped when cancelled, and StillRunning when the job goes on without us.
    """
    request = EvaluationRequest(artifact, check_data_path(data), report, baseline)
    values = {"artifact": str(artifact), "data": str(request.data), "report": str(report)}
    run = create_run(
        Path(account.settings.kennel.runs).resolve(), "evaluation", None, backend="sagemaker",
        **values, **({"baseline": str(baseline)} if baseline else {}),
    )  # fmt: skip
    with recorded(run), cancel_on_signals(cancel) as token:
        evaluate_in(account, run, request, watch, token)


def resume(account: Account, run: Run, watch: ProgressCallback, cancel: CancelToken | None = None) -> Path:
    """Go on with an evaluation that was left; returns the report's path. Raises as `evaluate` does."""
    record = run.record
    baseline = record.get("baseline")
    report = Path(record["report"])
    request = EvaluationRequest(
        Path(record["artifact"]), Path(record["data"]), report, Path(baseline) if baseline else None
    )
    run.reopen()
    with recorded(run), cancel_on_signals(cancel) as token:
        evaluate_in(account, run, request, watch, token)
    return report


def evaluate_in(
    account: Account, run: Run, request: EvaluationRequest, watch: ProgressCallback, cancel: CancelToken
) -> None:
    """The same in a run folder that is there; once more it goes on with the job that the run has."""
    name = resource_name(run)
    if api.PROCESSING.describe(account, name) is None:
        _start(account, run, request, watch, cancel)
    settings = account.settings.evaluate

    def each(answer: Mapping[str, Any]) -> None:
        watch(JobProgress(str(answer["ProcessingJobStatus"]), 0, 0, "images"))

    answer = wait_for_job(api.job_to_wait_for(account, run, name, f"runs on {settings.instance_type}"), cancel, each)
    check_completed(account, run, name, answer, cancel)
    _take_report(account, run, request, cancel)


def item(account: Account, run: Run) -> Item:
    """What an evaluation may cost."""
    settings = account.settings.evaluate
    return Item(
        f"processing job {resource_name(run)}",
        "processing",
        settings.instance_type,
        hours=settings.max_hours,
    )


def _start(
    account: Account, run: Run, request: EvaluationRequest, watch: ProgressCallback, cancel: CancelToken
) -> None:
    name = resource_name(run)
    with data_sets.open_dataset(account, request.data, watch, cancel) as data_set:
        account.check_settings()
        account.consent([item(account, run), data_set.plan.item])
        artifacts = {"artifact": artifact_store.upload_artifact(account, request.artifact, run.path)}
        if request.baseline is not None:
            artifacts["baseline"] = artifact_store.upload_artifact(account, request.baseline, run.path)
        uploaded = data_set.send(watch, cancel)
    split = _split(account, request.data)
    update_aws_record(account, run, processing_job=name)
    processing = sdk("processing")
    inputs = [
        *((each, location.url, f"{_ROOT}/{each}") for each, location in artifacts.items()),
        ("data", f"{uploaded.location.url}/{split}", f"{_DATA}/{split}".rstrip("/")),
    ]
    with translate_aws_errors(f"starting processing job {name}"):
        _processor(account, run, request).run(
            inputs=[
                processing.ProcessingInput(input_name=each, source=source, destination=target)
                for each, source, target in inputs
            ],
            outputs=[
                processing.ProcessingOutput(
                    output_name="report", source=_OUTPUT, destination=_outputs(account, run).url
                )
            ],
            arguments=_arguments(request, artifacts),
            job_name=name,
            wait=False,
            logs=False,
        )


def _split(account: Account, data: Path) -> str:
    """`test/`, say: the only part of the data that is judged, where that is plain; else nothing, for all of it."""
    if data.is_file() or account.settings.data.form != "folders":
        return ""
    folders = {each.name.lower(): each.name for each in data.iterdir() if not each.name.startswith(".")}
    # Anything else beside the splits may be a list of images, or a class.
    if not set(folders) <= set(_SPLITS) | {"train", "training"}:
        return ""
    return next((f"{folders[name]}/" for name in _SPLITS if name in folders), "")


def _arguments(request: EvaluationRequest, artifacts: Mapping[str, S3Location]) -> list[str]:
    arguments: list[str] = []
    for each in artifacts:
        arguments += [f"--{each}", f"{_ROOT}/{each}/{artifact_store.ARCHIVE}"]
    return [*arguments, "--data", place_inside(_DATA, request.data), "--json", f"{_OUTPUT}/{request.document}.json"]


def _processor(account: Account, run: Run, request: EvaluationRequest) -> Any:
    settings, common = account.settings.evaluate, account.settings.sagemaker
    network = None
    if common.network_isolation or common.subnets or common.encrypt_traffic:
        network = sdk("network").NetworkConfig(
            enable_network_isolation=common.network_isolation,
            security_group_ids=list(common.security_groups) or None,
            subnets=list(common.subnets) or None,
            encrypt_inter_container_traffic=common.encrypt_traffic or None,
        )
    return sdk("processing").Processor(
        role=account.role,
        image_uri=account.image,
        instance_count=1,
        instance_type=settings.instance_type,
        entrypoint=["python", "-m", request.module],
        volume_size_in_gb=settings.volume_gb,
        volume_kms_key=account.volume_key(settings.instance_type),
        output_kms_key=common.kms_key or None,
        max_runtime_in_seconds=round(settings.max_hours * 3600),
        tags=tags(run, account.settings),
        network_config=network,
        sagemaker_session=account.session,
    )


def _outputs(account: Account, run: Run) -> S3Location:
    return account.run_location(run) / "evaluate"


def _take_report(account: Account, run: Run, request: EvaluationRequest, cancel: CancelToken) -> None:
    """Report and page from S3 to the run folder, and from there to where they are wanted."""
    folder = run.ml / "output" / "data"
    download_objects(account, _outputs(account, run), folder, cancel)
    request.report.parent.mkdir(parents=True, exist_ok=True)
    for target in (request.report, request.report.with_suffix(".html")):
        source = folder / f"{request.document}{target.suffix if target.suffix == '.html' else '.json'}"
        if not source.is_file():
            raise BackendError(f"processing job {resource_name(run)} left no {source.name}; its log is {run.log}")
        target.write_bytes(source.read_bytes())
