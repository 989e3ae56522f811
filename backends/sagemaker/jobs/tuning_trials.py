"""The training jobs of SageMaker's tuner as the trials of a search, for the usual document and page."""

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final, cast

from backends.sagemaker.account import Account
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.jobs.api import TRAINING
from backends.sagemaker.jobs.follow import ENDED
from backends.sagemaker.logs import Log
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters
from tuning.objective import METRIC_REGEXES
from tuning.optuna_study import params_for_optuna, pruned_by
from tuning.results import notes_of
from tuning.settings import SearchSettings
from tuning.trial_record import Record, Row, State, front_of, plain_row, value_of

_PAIR: Final = re.compile(r"([a-z_0-9 ]+)=([^;=\s]+);")


@dataclass
class TrainingJob:
    """What is known of one training job: the summary in the tuner's list, and once it has ended its description; the
    metrics' rows that its log has had so far.
    """

    summary: Mapping[str, Any]
    log: Log
    description: Mapping[str, Any] = field(default_factory=dict)
    rows: list[dict[str, float]] = field(default_factory=list)

    @property
    def name(self) -> str:
        return str(self.summary["TrainingJobName"])

    @property
    def status(self) -> str:
        return str(self.summary["TrainingJobStatus"])


@dataclass(frozen=True)
class TunerResults:
    """A tuner's search as `tuning.results` takes it. jobs: training jobs' names by trial."""

    settings: SearchSettings
    finished: list[Record]
    running: list[Record]
    began: float
    seconds: float
    interrupted: int
    notes: list[str]
    jobs: Mapping[int, str]

    @property
    def front(self) -> list[Record]:
        return front_of(self.finished, self.settings.objectives)


class TunerJobs:
    """The training jobs of one tuning job, asked about again and again; what has ended is asked about once."""

    def __init__(self, account: Account, tuning: str, settings: SearchSettings) -> None:
        self._account = account
        self._tuning = tuning
        self._settings = settings
        self._jobs: dict[str, TrainingJob] = {}

    def refresh(self, answer: Mapping[str, Any]) -> TunerResults:
        """What there is now. answer: of DescribeHyperParameterTuningJob. Raises BackendError."""
        summaries = sorted(self._summaries(), key=lambda each: (each["CreationTime"], each["TrainingJobName"]))
        job = [self._refresh_job(summary) for summary in summaries]
        began = _seconds(answer["CreationTime"])
        finished: list[Record] = []
        running: list[Record] = []
        interrupted = 0
        for number, each in enumerate(job, 1):
            record = _record(number, each, self._settings, began)
            if record is None:
                interrupted += 1
            else:
                (finished if each.status in ENDED else running).append(record)
        ends = [each.ended for each in finished if each.ended is not None]
        sagemaker_best = str(answer.get("BestTrainingJob", {}).get("TrainingJobName", ""))
        pruned = [each.number for each in finished if each.run == sagemaker_best and each.state == "pruned"]
        early_stop_notes = [f"SageMaker's own best is trial {number}, which it ended early" for number in pruned]
        return TunerResults(
            self._settings, finished, running, began, max(ends, default=0.0), interrupted,
            [*self._notes(answer, job), *early_stop_notes],
            {number: each.name for number, each in enumerate(job, 1)},
        )  # fmt: skip

    def catch_up(self) -> None:
        """Read what came to the logs late: they lag behind the jobs by seconds. Raises BackendError."""
        for job in self._jobs.values():
            job.rows += metric_rows(job.log.new_lines())

    def _summaries(self) -> Iterator[Mapping[str, Any]]:
        client = self._account.client("sagemaker")
        with translate_aws_errors(f"listing the training jobs of {self._tuning}"):
            pages = client.get_paginator("list_training_jobs_for_hyper_parameter_tuning_job").paginate(
                HyperParameterTuningJobName=self._tuning, SortBy="CreationTime", SortOrder="Ascending",
                PaginationConfig={"PageSize": 100},
            )  # fmt: skip
            for page in pages:
                yield from page["TrainingJobSummaries"]

    def _refresh_job(self, summary: Mapping[str, Any]) -> TrainingJob:
        name = str(summary["TrainingJobName"])
        job = self._jobs.get(name) or TrainingJob(summary, TRAINING.log(self._account, name))
        self._jobs[name] = job
        if job.description:
            return job
        job.summary = summary
        if job.status != "InProgress" or summary.get("TrainingStartTime"):
            job.rows += metric_rows(job.log.new_lines())
        if job.status in ENDED:
            with translate_aws_errors(f"asking about training job {name}"):
                job.description = self._account.client("sagemaker").describe_training_job(TrainingJobName=name)
        return job

    def _notes(self, answer: Mapping[str, Any], job: list[TrainingJob]) -> list[str]:
        notes = [*notes_of(self._settings), f"searched by SageMaker's tuner, as tuning job {self._tuning}"]
        if parents := answer.get("WarmStartConfig", {}).get("ParentHyperParameterTuningJobs"):
            names = ", ".join(each["HyperParameterTuningJobName"] for each in parents)
            notes.append(f"it began with the results of {names}")
        if billed := sum(int(each.description.get("BillableTimeInSeconds", 0)) for each in job):
            notes.append(f"SageMaker bills {billed} s of training")
        return notes


def metric_rows(lines: Iterable[str]) -> Iterator[dict[str, float]]:
    """The metrics in each line of a log that has any, as in `epoch=1; train_loss=0.693147;`."""
    for line in lines:
        row: dict[str, float] = {}
        for before, text in _PAIR.findall(line):
            name = before.strip()
            if name == "epoch" and text.isdecimal():
                row[name] = int(text)
            elif name in METRIC_REGEXES:
                try:
                    row[name] = float(text)
                except ValueError:
                    continue
        if row:
            yield row


def _record(number: int, job: TrainingJob, settings: SearchSettings, began: float) -> Record | None:
    """The trial that a training job is; None for one that was cut off by whatever but the tuner's early stopping."""
    state = _state(job, settings)
    if state is None:
        return None
    values, hyperparameters, fault = _values(job.summary["TunedHyperParameters"], settings)
    record = Record(
        number=number, values=values, params=params_for_optuna(settings.space, values) if not fault else {},
        hyperparameters=hyperparameters, started=max(0.0, _seconds(job.summary["CreationTime"]) - began),
        state=state, epochs=_epochs(job.rows), run=job.name,
    )  # fmt: skip
    if state == "running":
        return record
    record.metrics = _metrics(job)
    start, end = job.summary.get("TrainingStartTime"), job.summary.get("TrainingEndTime")
    record.seconds = _seconds(end) - _seconds(start) if start and end else 0.0
    record.ended = max(0.0, _seconds(end or job.summary["CreationTime"]) - began)
    if fault or state == "failed":
        record.state, record.reason = "failed", fault or str(job.summary.get("FailureReason") or "without a reason")
    elif state == "completed":
        _take_objective(record, job, settings)
    elif record.epochs:
        record.metrics = dict(record.epochs[max(record.epochs)])
    return record


def _state(job: TrainingJob, settings: SearchSettings) -> State | None:
    match job.status:
        case "Completed":
            return "completed"
        case "Failed":
            return "failed"
        case "Stopped":
            return "pruned" if pruned_by(settings) else None
        case _:
            return "running"


def _take_objective(record: Record, job: TrainingJob, settings: SearchSettings) -> None:
    """The value that the tuner read from the log; without one the trial has failed."""
    (objective,) = settings.objectives
    final = job.summary.get("FinalHyperParameterTuningJobObjectiveMetric") or {}
    value = final.get("Value", value_of(objective, record.metrics))
    if value is None or not math.isfinite(value):
        record.state = "failed"
        record.reason = f"the tuner found no {objective.metric} in the log of {job.name}"
        return
    record.objective = (float(value),)
    record.metrics.setdefault(objective.metric, float(value))


def _values(tuned: Mapping[str, str], settings: SearchSettings) -> tuple[dict[str, Any], Hyperparameters, str]:
    """What the tuner chose, typed; all the trial's hyperparameters; and a fault, if it chose what can't be."""
    names = settings.space.names
    try:
        parsed = Hyperparameters.parse({name: text for name, text in tuned.items() if name in names})
    except ConfigError as error:
        return dict(tuned), settings.base, str(error)
    values = {name: getattr(parsed, name) for name in names}
    return values, replace(settings.base, **cast("Any", values)), ""


def _epochs(rows: Iterable[Mapping[str, float]]) -> dict[int, Row]:
    return {int(row["epoch"]): plain_row(row) for row in rows if "epoch" in row and "validation_loss" in row}


def _metrics(job: TrainingJob) -> Row:
    """Each metric's last value: of the epoch that was kept, which a job of the tuner prints once more at its end."""
    last: dict[str, float] = {}
    for row in job.rows:
        last |= {name: value for name, value in row.items() if name != "epoch"}
    final = {each["MetricName"]: float(each["Value"]) for each in job.description.get("FinalMetricDataList", ())}
    return plain_row({name: value for name, value in {**final, **last}.items() if name in METRIC_REGEXES})


def _seconds(moment: datetime) -> float:
    """Since 1970."""
    return moment.timestamp()
