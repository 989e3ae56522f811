"""The profiler's part of the companion: samples the machine, judges samples and steps, writes the report."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from contract.paths import MLPaths
from contract.profiler import read_settings
from contract.rules.request import RuleRequest, parse_rules
from contract.rules.verdict import ERROR, IN_PROGRESS, ISSUES, Outcome, Verdict
from monitor.output import say, write_report
from monitor.profiler.judge import ProfileJudge
from monitor.profiler.sampler import Sampler
from reports.profiler_page import profiler_page


class Profiling:
    """Does nothing when profiling is off, by hyperparameter or by SageMaker's profilerconfig.json."""

    def __init__(self, job: Mapping[str, Any]) -> None:
        chosen = job["hyperparameters"]
        self.requested = parse_rules(chosen["rules"])
        paths, requests = MLPaths(Path(job["root"])), self.requested.profiler
        settings = read_settings(paths, chosen["profile_interval"], chosen["profile_steps"])
        self._paths = paths
        self._requests = {each.spec.name: each for each in requests}
        self._announced: set[str] = set()
        self._failed = False
        self._sampler: Sampler | None = None
        if chosen["profile"] == "on" and settings.on:
            self._sampler = Sampler(settings.folder, job["pid"], settings.interval_ms, job.get("began"))
        self._judge = ProfileJudge(settings.folder, requests)

    def start(self) -> None:
        """Begin to sample."""
        if self._sampler is None:
            return
        self._sampler.start()
        for name, request in self._requests.items():
            if request.named:
                self._announce(name)

    def look(self) -> list[Verdict]:
        """Judge what was added; the rules that fired for the first time."""
        if self._sampler is None:
            return []
        try:
            fired = self._judge.poll()
        except Exception as error:  # noqa: BLE001 - the tensors' rules go on; at the end it is tried again, and told
            fired = []
            if not self._failed:
                self._failed = True
                say(f"profiler rules can't judge now: {type(error).__name__}: {error}")
        self._tell(fired)
        return fired

    def stop(self) -> None:
        """End the sampling."""
        if self._sampler is not None:
            self._sampler.stop()

    def report(self, outcome: Outcome) -> list[Verdict]:
        """Write profiler-report.json and .html, tell each rule's final status; what fired only now."""
        if self._sampler is None:
            return []
        before = {each.spec.name for each in self._judge.verdicts() if each.triggered}
        self._judge.finish()
        fired = [each for each in self._judge.verdicts() if each.triggered and each.spec.name not in before]
        self._tell(fired)
        document = self._judge.document({"completed": outcome.completed, "reason": outcome.reason})
        rules = [each for each in document["rules"] if self._shown(each)]
        for each in rules:
            why = f" ({each['note']})" if each["status"] == ERROR and each.get("note") else ""
            say(f"{each['name']}: {each['status']}{why}")
        page = self._paths.profiler_page
        write_report(self._paths.profiler_report, page, {**document, "rules": rules}, profiler_page)
        say(f"profiler report: {page}")
        return fired

    def request(self, verdict: Verdict) -> RuleRequest:
        """What asked for this verdict."""
        return self._requests[verdict.spec.name]

    def _shown(self, verdict: Mapping[str, Any]) -> bool:
        """A rule of the default set that had nothing to judge (no GPU, say) has no place in the tables."""
        request = self._requests.get(verdict["name"])
        return verdict["status"] != ERROR or (request is not None and request.named)

    def _tell(self, fired: Sequence[Verdict]) -> None:
        for verdict in self._judge.verdicts():
            if verdict.datapoints:
                self._announce(verdict.spec.name)
        for verdict in fired:
            say(f"{verdict.spec.name}: {ISSUES} ({verdict.findings[0].text})")

    def _announce(self, name: str) -> None:
        if name not in self._announced:
            self._announced.add(name)
            say(f"{name}: {IN_PROGRESS}")
