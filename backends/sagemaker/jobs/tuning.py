"""A search by SageMaker's tuner: one tuning job, a training job a trial, and the usual documents of what came out."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

from backends.base import JobProgress
from backends.cancel import CancelToken
from backends.console import TrialDisplay, say, show_progress, trial_display
from backends.errors import BackendError, Stopped
from backends.runs import Run, create_run, load_run, recorded
from backends.sagemaker.account import Account, update_aws_record
from backends.sagemaker.billing.items import Item
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.sagemaker.jobs import api
from backends.sagemaker.jobs.estimator import check_training_job, estimator, for_container, stage_inputs
from backends.sagemaker.jobs.job import keep_log
from backends.sagemaker.jobs.polling import wait_for_job
from backends.sagemaker.jobs.results import fetch_results
from backends.sagemaker.jobs.tuner_arguments import static_hyperparameters, tuner_arguments
from backends.sagemaker.jobs.tuning_trials import TunerJobs, TunerResults
from backends.sagemaker.names import MAX_TUNING_NAME_LENGTH, resource_name, tags
from backends.sagemaker.sdk import sdk
from backends.search.request import SearchRequest
from backends.search.results import best_trial
from tuning.results import document_of, failure_of, finished_line, write_results
from tuning.settings import SearchSettings

Answer = Mapping[str, Any]


def search(account: Account, run: Run, request: SearchRequest, cancel: CancelToken) -> None:
    """Search to the end, in a new tuning job or on with the one that the run has; leave documents and the best trial's
    run folder, and note it in the record.

    Raises BackendError, Stopped, and StillRunning when the job goes on without us. What was found until then is there.
    """
    settings = SearchSettings.of(request.hyperparameters)
    job = resource_name(run, MAX_TUNING_NAME_LENGTH)
    answer = api.TUNING.describe(account, job)
    if answer is None:
        _start(account, run, request, settings, job, cancel)
    else:
        _check_same(answer, settings, run)
    following = SearchFollower(account, run, settings, job)
    answer = following.to_the_end(cancel)
    following.catch_up()
    state, reason = _outcome(answer, settings, cancel)
    following.write(state, reason)
    best = best_trial(following.document)
    if best is not None:
        fetch_best(account, run, request, following.results.jobs[best["number"]], best)
        following.write(state, reason)
    if state == "stopped":
        ended = len(following.results.finished)
        raise Stopped(f"stopped after {ended} of {settings.trials} trials; {_continuation_hint(job)}")
    if best is None:
        raise BackendError(f"{failure_of(following.results.finished, reason)} (tuning job {job})")


def items(account: Account, job: str, settings: SearchSettings) -> list[Item]:
    """What a search by a tuning job may cost: each trial as long as a job may take, unless tune_minutes ends it.

    job: its name, empty as long as it has none.
    """
    train = account.settings.train
    hours = settings.trials * train.max_hours
    if settings.minutes:
        hours = min(hours, min(settings.parallel, settings.trials) * settings.minutes / 60)
    what = f"tuning job {job}: {_extent(settings)}" if job else f"tuning job: {_extent(settings)}"
    return [
        Item(what, "spot" if train.spot else "training", train.instance_type, count=train.instance_count, hours=hours)
    ]


def _start(
    account: Account, run: Run, request: SearchRequest, settings: SearchSettings, job: str, cancel: CancelToken
) -> None:  # fmt: skip
    tune = account.settings.tune
    # What every trial is trained with; the search's own base is reported, and trained with afterwards.
    base = request.of_trial(settings.base)
    arguments = tuner_arguments(replace(settings, base=base), tune.warm_start, tune.warm_start_same)
    account.check_settings()
    check_training_job(account.settings, static_hyperparameters(replace(settings, base=for_container(base))))
    with show_progress("uploading") as watch, stage_inputs(account, request.data, base, watch, cancel) as staged:
        account.consent([*items(account, job, settings), staged.data.plan.item])
        inputs = staged.send(watch, cancel)
    if cancel.requested:
        raise Stopped("stopped before the search was started")
    update_aws_record(account, run, tuning_job=job)
    static = static_hyperparameters(replace(settings, base=inputs.hyperparameters))
    sdk_estimator = estimator(account, run, static)
    # All trials would share it, and none goes on from another one's.
    sdk_estimator.checkpoint_s3_uri = None
    sdk_estimator.max_retry_attempts = tune.retries or None
    tuner = sdk("tuner").HyperparameterTuner(sdk_estimator, **arguments, tags=tags(run, account.settings))
    try:
        with translate_aws_errors(f"starting tuning job {job}"):
            tuner.fit(dict(inputs.channels), job_name=job, include_cls_metadata=False, wait=False)
    except AwsError as error:
        # The answer to a first try may have been lost on its way.
        if not error.already_exists:
            raise
    say(f"tuning job {job} in {account.region}: {_extent(settings)}")


def _extent(settings: SearchSettings) -> str:
    return f"{settings.trials} training jobs, {min(settings.parallel, settings.trials)} at a time"


def _check_same(answer: Answer, settings: SearchSettings, run: Run) -> None:
    """A tuning job takes no changes once it is there."""
    limits = answer["HyperParameterTuningJobConfig"]["ResourceLimits"]
    existing = (limits["MaxNumberOfTrainingJobs"], limits["MaxParallelTrainingJobs"])
    wanted = (settings.trials, min(settings.parallel, settings.trials))
    if existing != wanted:
        hint = _continuation_hint(answer["HyperParameterTuningJobName"])
        raise BackendError(
            f"the tuning job of {run.name} has {existing[0]} trials, {existing[1]} at a time, and SageMaker "
            f"lets nobody change that (wanted: {wanted[0]}, {wanted[1]}); {hint}"
        )


def _continuation_hint(job: str) -> str:
    return f"a search that goes on from its results: python deploy.py tune ... -o tune.warm_start={job}"


def _outcome(answer: Answer, settings: SearchSettings, cancel: CancelToken) -> tuple[str, str | None]:
    """The document's state and reason."""
    status = answer["HyperParameterTuningJobStatus"]
    if status == "Completed":
        done = answer.get("TrainingJobStatusCounters", {}).get("Completed", settings.trials)
        return "completed", None if done else str(answer.get("FailureReason") or "") or None
    if status == "Stopped" and not cancel.requested and settings.minutes:
        return "completed", f"tune_minutes: {settings.minutes:g} minutes are over"
    if status == "Stopped":
        return "stopped", "stopped by hand"
    return "completed", str(answer.get("FailureReason") or f"its tuning job ended as {status}")


class SearchFollower:
    """Follows a tuning job: shows and writes its results as they change. document: as it was last written."""

    def __init__(self, account: Account, run: Run, settings: SearchSettings, job: str) -> None:
        self._account = account
        self._run = run
        self._settings = settings
        self._job = job
        self._jobs = TunerJobs(account, job, settings)
        self._shown: set[int] = set()
        self.results = TunerResults(settings, [], [], 0.0, 0.0, 0, [], {})
        self.document: dict[str, Any] = {}

    def to_the_end(self, cancel: CancelToken) -> Answer:
        """Wait for its end; returns the last answer. Raises BackendError, of a job that goes on StillRunning."""
        costs = f"trains on {self._account.settings.train.instance_type}"
        with trial_display(f"{self._run.name} on SageMaker") as display:
            job = api.job_to_wait_for(self._account, self._run, self._job, costs, self._ask)
            return wait_for_job(job, cancel, lambda _: self._show(display))

    def catch_up(self) -> None:
        """The logs lag behind the jobs."""
        self._jobs.catch_up()
        self._ask()

    def write(self, state: str, reason: str | None) -> None:
        """Write tuning.json and its like, and note the best trial."""
        for record in self.results.finished:
            record.run = trial_name(self._run, record.number, record.run)
        self.document = document_of(self.results, state, reason)
        write_results(self._run.ml / "output" / "data", self.document)
        best = best_trial(self.document)
        self._run.update(best=best["run"] if best else None)

    def _ask(self) -> Answer:
        answer = api.TUNING.describe(self._account, self._job)
        if answer is None:
            raise BackendError(f"there is no tuning job {self._job} any more")
        self.results = self._jobs.refresh(answer)
        return answer

    def _show(self, display: TrialDisplay) -> None:
        results, settings = self.results, self._settings
        best = results.front[0] if results.front else None
        new = [each for each in results.finished if each.number not in self._shown]
        for record in new:
            display.trial_ended(finished_line(record, settings.objectives, settings.trials, best))
            self._shown.add(record.number)
        for record in results.running:
            if record.epochs:
                row = {k: v for k, v in record.epochs[max(record.epochs)].items() if v is not None}
                total = record.hyperparameters.epochs
                display.update(record.number, JobProgress("training", max(record.epochs), total, "epochs", row))
        best_text = f"{best.objective[0]:.4g} (trial {best.number})" if best and best.objective else ""
        display.draw(len(results.finished), settings.trials, best_text, [each.number for each in results.running])
        if new or not self.document:
            self.write("running", None)


def trial_name(tuning: Run, number: int, job: str | None) -> str | None:
    """The name of the trial's run folder where it has one, else of its training job."""
    name = _folder_name(tuning, number)
    return name if (tuning.path.parent / name / "run.json").is_file() else job


def _folder_name(tuning: Run, number: int) -> str:
    return f"{tuning.name}-trial-{number:03d}"


def fetch_best(
    account: Account, tuning: Run, request: SearchRequest, job: str, row: Mapping[str, Any]
) -> Run:  # fmt: skip
    """The best trial as a run folder like any other, with artifact, reports and log. Raises BackendError."""
    path = tuning.path.parent / _folder_name(tuning, row["number"])
    if (path / "run.json").is_file():
        trial = load_run(path)
        if trial.status == "completed":
            return trial
        trial.reopen()
    else:
        hyperparameters = request.of_trial(replace(SearchSettings.of(request.hyperparameters).base, **row["values"]))
        trial = create_run(
            path.parent, "training", path.name, backend="sagemaker", tuning=tuning.name, trial=row["number"],
            data=str(request.data), hyperparameters=asdict(hyperparameters),
        )  # fmt: skip
    with recorded(trial), show_progress(f"fetching {path.name}") as watch:
        update_aws_record(account, trial, job=job)
        description = api.TRAINING.describe(account, job)
        if description is None:
            raise BackendError(f"there is no training job {job} any more")
        keep_log(api.TRAINING.log(account, job), trial)
        fetch_results(account, trial, description, watch)
    return trial
