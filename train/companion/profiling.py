"""The profiler's part of the companion: samples the machine, judges the samples now and then, writes the report."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from model.paths import MLPaths
from train.companion.reports import write_report
from train.debug.judge import Outcome
from train.profile.analysis import analyse
from train.profile.sampler import Sampler
from train.profile.settings import read_settings
from train.report.profiler_page import profiler_page
from train.rulebook.request import RuleRequest
from train.rulebook.verdict import ERROR, IN_PROGRESS, ISSUES

_EVERY_S: Final = 60.0
_SHARE: Final = 0.02  # of the time that judging so far may take


class Profiling:
    """Does nothing when profiling is off, by hyperparameter or by SageMaker's profilerconfig.json."""

    def __init__(
        self, job: Mapping[str, Any], paths: MLPaths, requests: Sequence[RuleRequest], say: Callable[[str], None]
    ) -> None:
        chosen = job["hyperparameters"]
        settings = read_settings(paths, chosen["profile_interval"], chosen["profile_steps"])
        self._paths = paths
        self._folder = settings.folder
        self._requests = {each.spec.name: each for each in requests}
        self._say = say
        self._announced: set[str] = set()
        self._fired: set[str] = set()
        self._next = time.monotonic() + _EVERY_S
        self._sampler: Sampler | None = None
        if chosen["profile"] == "on" and settings.on:
            self._sampler = Sampler(settings.folder, job["pid"], settings.interval_ms)

    def start(self) -> None:
        """Begin to sample."""
        if self._sampler is None:
            return
        self._sampler.start()
        for name, request in self._requests.items():
            if request.named:
                self._announce(name)

    def look(self) -> list[tuple[RuleRequest, Mapping[str, Any]]]:
        """Judge what there is, about once a minute; the rules that fired for the first time, with their verdicts."""
        now = time.monotonic()
        if self._sampler is None or now < self._next:
            return []
        try:
            fired = self._told(self._analyse(Outcome())["rules"])
        except Exception as error:  # noqa: BLE001 - at the end it is tried again, and told
            self._say(f"profiler rules can't judge yet: {type(error).__name__}: {error}")
            fired = []
        took = time.monotonic() - now
        self._next = time.monotonic() + max(_EVERY_S, took / _SHARE)
        return fired

    def stop(self) -> None:
        """End the sampling."""
        if self._sampler is not None:
            self._sampler.stop()

    def report(self, outcome: Outcome) -> list[tuple[RuleRequest, Mapping[str, Any]]]:
        """Write profiler-report.json and .html, tell each rule's final status; what fired only now."""
        if self._sampler is None:
            return []
        document = self._analyse(outcome)
        rules = [each for each in document["rules"] if self._shown(each)]
        fired = self._told(rules)
        for each in rules:
            why = f" ({each['note']})" if each["status"] == ERROR and each.get("note") else ""
            self._say(f"{each['name']}: {each['status']}{why}")
        page = self._paths.profiler_page
        write_report(self._paths.profiler_report, page, {**document, "rules": rules}, profiler_page)
        self._say(f"profiler report: {page}")
        return fired

    def _analyse(self, outcome: Outcome) -> dict[str, Any]:
        about = {"completed": outcome.completed, "reason": outcome.reason}
        return analyse(self._folder, list(self._requests.values()), about)

    def _shown(self, verdict: Mapping[str, Any]) -> bool:
        """A rule of the default set that had nothing to judge (no GPU, say) has no place in the tables."""
        request = self._requests.get(verdict["name"])
        return verdict["status"] != ERROR or (request is not None and request.named)

    def _told(self, rules: Sequence[Mapping[str, Any]]) -> list[tuple[RuleRequest, Mapping[str, Any]]]:
        fired = []
        for each in rules:
            name = each["name"]
            if each["status"] != ERROR:
                self._announce(name)
            if each["status"] == ISSUES and name not in self._fired:
                self._fired.add(name)
                texts = [finding["text"] for finding in each["findings"][:1]]
                self._say(f"{name}: {ISSUES} ({texts[0] if texts else each['fires']})")
                if name in self._requests:
                    fired.append((self._requests[name], each))
        return fired

    def _announce(self, name: str) -> None:
        if name not in self._announced:
            self._announced.add(name)
            self._say(f"{name}: {IN_PROGRESS}")
