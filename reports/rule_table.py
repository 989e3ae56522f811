"""The rules' verdicts as both pages show them: how the run ended, what to look at first, and a table."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from markupsafe import Markup

from reports.advice import Hint
from reports.charts.lanes import SIGNS, STYLES
from reports.units import NOTHING, count, figure, real, seconds, sentence

_CLASS: Final = re.compile(r"^[A-Z][A-Za-z0-9]*_(?=.)")
_OUTPUT: Final = re.compile(r"_(in|out)put_\d+$")
SHOWN: Final = 200  # findings of a rule
_ORDER: Final = {"error": 0, "warning": 1, "info": 2}
_STATUS: Final = {
    "IssuesFound": ("issues found", 0),
    "Error": ("could not judge", 3),
    "InProgress": ("in progress", 4),
    "Stopping": ("stopping", 4),
    "Stopped": ("stopped", 4),
    "NoIssuesFound": ("no issues", 5),
}
_QUIET_SIGNS: Final = {"NoIssuesFound": "\u2713", "Error": "?"}


@dataclass(frozen=True)
class RuleRow:
    """A row. kind: the CSS class of its status; first: where it fired first; findings: (where, sentence)."""

    id: str
    name: str
    fires: str
    sign: str
    status: str
    kind: str
    triggered: int
    datapoints: int
    first: tuple[str, ...]
    todo: str
    action: str
    parameters: tuple[tuple[str, str], ...]
    findings: tuple[tuple[str, str], ...]
    hidden: int

    @property
    def more(self) -> bool:
        """Whether there is something to expand."""
        return bool(self.findings or self.parameters or self.fires)

    @property
    def heading(self) -> Markup:
        """The name, which may break before a word."""
        return Markup("<wbr>").join(re.split(r"(?<=[a-z])(?=[A-Z])", self.name))

    @property
    def fired(self) -> bool:
        """Whether it found something."""
        return self.status == "issues found"


def rule_rows(rules: Sequence[Mapping[str, Any]]) -> list[RuleRow]:
    """The rows: what fired by severity, then what could not judge or is not done, then what is well."""
    return [
        _row(number, rule) for number, rule in sorted(enumerate(rules), key=lambda item: (*_rank(item[1]), item[0]))
    ]


def _rank(rule: Mapping[str, Any]) -> tuple[int, int]:
    if rule["status"] == "IssuesFound":
        return _ORDER.get(rule.get("severity", ""), 1), -_times(rule)
    return _STATUS.get(rule["status"], ("", 4))[1], 0


def _times(rule: Mapping[str, Any]) -> int:
    return int((rule.get("report") or {}).get("RuleTriggered", len(rule.get("findings") or [])))


def _row(number: int, rule: Mapping[str, Any]) -> RuleRow:
    status, severity = rule["status"], rule.get("severity", "warning")
    fired = status == "IssuesFound"
    findings = sorted(rule.get("findings") or [], key=_order)
    triggered = _times(rule)
    return RuleRow(
        id=f"rule-{number}",
        name=rule["name"],
        fires=rule.get("fires") or "",
        sign=SIGNS.get(severity, SIGNS["warning"]) if fired else _QUIET_SIGNS.get(status, "\u2026"),
        status=_STATUS.get(status, (str(status), 4))[0],
        kind=STYLES.get(severity, "warn") if fired else "quiet",
        triggered=triggered,
        datapoints=int((rule.get("report") or {}).get("Datapoints", 0)),
        first=where(findings[0]) if fired and findings else (),
        todo=_todo(rule),
        action=rule.get("action") or "",
        parameters=tuple((name, _parameter(value)) for name, value in (rule.get("parameters") or {}).items()),
        findings=tuple((", ".join(where(finding)), finding["text"]) for finding in findings[:SHOWN]),
        hidden=max(0, triggered - len(findings[:SHOWN])),
    )


def _order(finding: Mapping[str, Any]) -> tuple[float, float]:
    step, start = real(finding.get("step")), real(finding.get("start_s"))
    return (-1.0 if step is None else step, -1.0 if start is None else start)


def _todo(rule: Mapping[str, Any]) -> str:
    if rule["status"] == "IssuesFound":
        words = [rule.get("advice") or rule.get("recommendation") or "", rule.get("note") or ""]
    else:
        words = [rule.get("note") or ""]
    return " ".join(sentence(text) for text in words if text)


def _parameter(value: Any) -> str:
    if value is None:
        return NOTHING
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return f"{value:,}" if isinstance(value, int) else figure(value, 7)
    return str(value) if str(value) else "\u201c\u201d"


def where(finding: Mapping[str, Any]) -> tuple[str, ...]:
    """The places of a finding: step, layer, time; those that it has."""
    places = []
    if finding.get("step") is not None:
        mode, mode_step = finding.get("mode"), finding.get("mode_step")
        kind = {"TRAIN": "training ", "EVAL": "validation "}.get(mode or "", "")
        own = mode_step is not None and bool(kind)
        places.append(f"{kind}step {mode_step if own else finding['step']}")
    if finding.get("tensor"):
        places.append(layer(str(finding["tensor"])))
    if finding.get("start_s") is not None:
        start, end = real(finding["start_s"]), real(finding.get("end_s"))
        after = f" to {seconds(end)}" if end is not None and end != start else ""
        places.append(f"{seconds(start)}{after}")
    return tuple(places)


def layer(tensor: str) -> str:
    """A tensor's name without what says only which kind it is, or of which class the whole network."""
    for start in ("gradient/", "update_ratio/", "relu_active_share/"):
        tensor = tensor.removeprefix(start)
    # smdebug: Classifier_head.weight, but CrossEntropyLoss_output_0.
    return tensor if _OUTPUT.search(tensor) else _CLASS.sub("", tensor)


def first_sentences(rows: Sequence[RuleRow], judged: str) -> list[Hint]:
    """What fired, with what to do; when nothing did, what was judged. judged: one data point and many, `step/steps`."""
    hints = [Hint(_fired_sentence(row), row.id) for row in rows if row.fired]
    return hints or [Hint(_all_well(rows, judged), "rules")]


def _fired_sentence(row: RuleRow) -> str:
    finding = sentence(row.findings[0][1]) if row.findings else sentence(row.fires)
    return f"{row.name}: {finding} {row.todo}".strip()


def _all_well(rows: Sequence[RuleRow], judged: str) -> str:
    one, many = judged.split("/")
    able = [row for row in rows if row.datapoints]
    if not able:
        return "No rule had anything to judge." if rows else "No rule was asked for."
    most = count(max(row.datapoints for row in able), one, many)
    names = ", ".join(row.name for row in able)
    left = [row.name for row in rows if not row.datapoints]
    rest = f" Nothing to judge for {', '.join(left)}." if left else ""
    verb = "rule judged and found nothing" if len(able) == 1 else "rules judged and found nothing"
    return f"{len(able)} {verb} in up to {most}: {names}.{rest}"


_STOPPED: Final = re.compile(r"\bstop(s|ped)?\b|\bSIGTERM\b|\bSIGINT\b|signal (2|15)\b", re.IGNORECASE)
_KILLED: Final = re.compile(r"\bkill(ed)?\b|\bSIGKILL\b|signal 9\b|\bout of memory\b", re.IGNORECASE)
_MISSING: Final = "It ended without saying why: it was killed, or the machine failed."


@dataclass(frozen=True)
class RunOutcome:
    """word: completed, stopped, failed, killed or unknown. sign: for who can't tell colours apart. sentence: why."""

    word: str
    sign: str
    sentence: str

    @property
    def named(self) -> bool:
        """Whether the sentence itself begins with the word."""
        return self.sentence.lower().startswith(self.word)

    @property
    def bad(self) -> bool:
        """Whether something went wrong."""
        return self.word in ("failed", "killed")


def outcome_of(completed: bool | None, reason: Any) -> RunOutcome:
    """completed: None when nothing is known of it. reason: why it ended before its time."""
    cause = sentence(str(reason or "").strip().split("\n\n")[0])
    if completed:
        return RunOutcome("stopped", "\u25a0", cause) if cause else RunOutcome("completed", "\u2713", "")
    if completed is None and not cause:
        return RunOutcome("unknown", "?", "How the run ended isn\u2019t known: only what it wrote was judged.")
    if not cause or _KILLED.search(cause):
        return RunOutcome("killed", "\u2716", cause or _MISSING)
    if _STOPPED.search(cause):
        return RunOutcome("stopped", "\u25a0", cause)
    return RunOutcome("failed", "\u2716", cause)


def of_document(document: Mapping[str, Any], key: str) -> RunOutcome:
    """The outcome under `key` of a report."""
    ending = document.get(key) or {}
    return outcome_of(ending.get("completed"), ending.get("reason"))
