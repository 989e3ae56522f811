"""The profiler's part of the monitor: samples the machine, judges samples and steps, writes the report."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from contract.paths import MLPaths
from contract.profiler import read_settings
from contract.rules.request import parse_rules
from contract.rules.verdict import Outcome
from monitor.output import say, write_report
from monitor.profiler.engine import ProfilerRuleEngine, ProfilerRuleRun
from monitor.profiler.sampler import Sampler
from reports.profiler_page import profiler_page


class Profiling:
    """Samples from the start; nothing when profiling is off, by hyperparameter or SageMaker's profilerconfig.json."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        hyperparameters = job["hyperparameters"]
        self.selection = parse_rules(hyperparameters["rules"])
        self._paths = MLPaths(Path(job["root"]))
        settings = read_settings(self._paths, hyperparameters["profile_interval"], hyperparameters["profile_steps"])
        self._failed = False
        self._sampler: Sampler | None = None
        self._engine: ProfilerRuleEngine | None = None
        if hyperparameters["profile"] == "on" and settings.on:
            self._sampler = Sampler(settings.folder, job["pid"], settings.interval_ms, job.get("began"))
            self._sampler.start()
            self._engine = ProfilerRuleEngine(settings.folder, self.selection.profiler, say)

    def poll(self) -> list[ProfilerRuleRun]:
        """Judge what was added; the rules that fired for the first time."""
        if self._engine is None:
            return []
        try:
            return self._engine.poll()
        except Exception as error:  # noqa: BLE001 - the tensors' rules go on; it is tried again at the end
            if not self._failed:
                self._failed = True
                say(f"profiler rules can't judge now: {type(error).__name__}: {error}")
            return []

    def stop(self) -> None:
        """End the sampling."""
        if self._sampler is not None:
            self._sampler.stop()

    def report(self, outcome: Outcome) -> list[ProfilerRuleRun]:
        """Write profiler-report.json and .html, print each rule's final status; the rules that fired only now."""
        if self._engine is None:
            return []
        fired = self._engine.finish()
        job = {"completed": outcome.completed, "reason": outcome.reason}
        document = self._engine.document(job, shown_only=True)
        self._engine.print_final_statuses()
        page = self._paths.profiler_page
        write_report(self._paths.profiler_report, page, document, profiler_page)
        say(f"profiler report: {page}")
        return fired
