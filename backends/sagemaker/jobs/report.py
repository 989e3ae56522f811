"""A training job's tensors, profiler files and artifact from S3, and the same pages of them as of a run here."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from backends.base import JobProgress, ProgressCallback
from backends.cancel import CancelToken
from backends.console import complain
from backends.errors import BackendError
from backends.local import LocalBackend
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record
from backends.sagemaker.jobs import api
from backends.sagemaker.jobs.attach import attach
from backends.sagemaker.jobs.follow import ENDED
from backends.sagemaker.jobs.job import keep_log
from backends.sagemaker.jobs.results import fetch_results
from backends.sagemaker.names import S3Location
from backends.sagemaker.storage.objects import download_objects

# Below ml/output, as a job on this machine has them.
TENSORS: Final = "tensors"
PROFILER: Final = "profiler"
RULES: Final = "rule-output"


def fetch_report(account: Account, name: str, runs: Path, watch: ProgressCallback, cancel: CancelToken) -> Run:
    """The run folder of a run, or of any training job in the account, with all that the job has left in S3 by now, and
    the debugger's and the profiler's pages of it.

    Once more it fetches what is new. Raises BackendError, and Stopped when cancelled.
    """
    run = attach(account, name, runs)
    job = aws_record(run).get("job")
    if run.kind != "training" or not job:
        raise BackendError(f"{run.name} is no training job of the account, so there is nothing of it to fetch")
    description = api.TRAINING.describe(account, str(job))
    if description is None:
        raise BackendError(f"there is no training job {job} in {account.region} any more")
    keep_log(api.TRAINING.log(account, str(job)), run)
    if description["TrainingJobStatus"] in ENDED and not aws_record(run).get("fetched"):
        try:
            fetch_results(account, run, description, watch)
        except BackendError as error:
            # Without an artifact there are still tensors to judge.
            complain(str(error))
    for folder, location in locations(description):
        watch(JobProgress(f"fetching {folder}", 0, 0, "files"))
        download_objects(account, location, run.ml / "output" / folder, cancel)
    _make_pages(run, watch)
    return run


def locations(description: Mapping[str, Any]) -> Iterator[tuple[str, S3Location]]:
    """(folder below ml/output, where it lies in S3) of what a job was to leave there besides its archives."""
    job = description["TrainingJobName"]
    hook = description.get("DebugHookConfig", {}).get("S3OutputPath")
    profiler = description.get("ProfilerConfig", {}).get("S3OutputPath")
    if hook:
        yield TENSORS, S3Location.parse(hook.rstrip("/")) / f"{job}/debug-output"
    if profiler:
        yield PROFILER, S3Location.parse(profiler.rstrip("/")) / f"{job}/profiler-output"
    # SageMaker's own rules: beside the tensors, or beside the artifact.
    for url in dict.fromkeys(
        each for each in (hook, profiler, description["OutputDataConfig"]["S3OutputPath"]) if each
    ):
        yield RULES, S3Location.parse(url.rstrip("/")) / f"{job}/{RULES}"


def _make_pages(run: Run, watch: ProgressCallback) -> None:
    """Kennel's own jobs have left their reports; of others the pages are made here."""
    data = run.ml / "output" / "data"
    for folder, report in ((TENSORS, "debugger-report.json"), (PROFILER, "profiler-report.json")):
        source = run.ml / "output" / folder
        if (data / report).is_file() or not source.is_dir():
            continue
        try:
            LocalBackend().debug(str(source), data / report, "default", watch)
        except BackendError as error:
            # A job that was ended at once has saved nothing to judge; its other files are worth having.
            complain(f"no page of {folder}: {error}")
