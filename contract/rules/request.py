"""Which rules are to judge, and with which parameters: the hyperparameter `rules` in all its forms.

default                                       every rule of the default set
none                                          no rule
Overfit:ratio_threshold=0.3,VanishingGradient these rules
default,-Overfit,AllZero:threshold=90         the default set, changed
[{"RuleConfigurationName": ...}]              SageMaker's own JSON, or the path of a file with it

SageMaker's own rule configurations, as CreateTrainingJob takes them and as its Python SDK writes them.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from contract.errors import ConfigError
from contract.rules.profiler import PROFILER_RULES
from contract.rules.spec import RuleSpec
from contract.rules.tensor import TENSOR_RULES

RULES: Final[Mapping[str, RuleSpec]] = {**TENSOR_RULES, **PROFILER_RULES}
# SageMaker's rule that stands for all profiler rules.
PROFILER_REPORT: Final = "ProfilerReport"
REPORT, STOP, FINISH, RUN = "report", "stop", "finish", "run:"
_ACTION: Final = re.compile(r"report|stop|finish|run:.+", re.DOTALL)


@dataclass(frozen=True)
class RuleRequest:
    """One rule to judge. parameters: typed and complete.

    action: report, stop, finish or run:COMMAND; None: as rule_action says. named: somebody asked for this very rule.
    label: what SageMaker's configuration calls it; else the rule's own name.
    """

    spec: RuleSpec
    parameters: dict[str, Any]
    action: str | None = None
    named: bool = True
    label: str = ""

    def acts(self, rule_action: str) -> str:
        """What happens when it fires: its own action, or `rule_action` if what it finds is an error."""
        if self.action is not None:
            return self.action
        if self.parameters.get("stop_training_on_fire"):
            return STOP
        return rule_action if self.spec.severity == "error" else REPORT


@dataclass
class Requested:
    """The rules that were asked for. notes: what in the request is of no effect here."""

    tensor: list[RuleRequest] = field(default_factory=list)
    profiler: list[RuleRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, request: RuleRequest) -> None:
        """Put it where it belongs."""
        (self.tensor if request.spec.name in TENSOR_RULES else self.profiler).append(request)


def parse_rules(text: str) -> Requested:
    """The rules that `text` asks for. Raises ConfigError that tells all its faults at once."""
    faults: list[str] = []
    found = _parse(text.strip(), faults)
    if faults:
        raise ConfigError(
            f"rules: {faults[0]}" if len(faults) == 1 else f"{len(faults)} faults in rules: " + " | ".join(faults)
        )
    return found


def _parse(text: str, faults: list[str]) -> Requested:
    from contract.rules.request import parse_configurations

    if text.startswith(("[", "{")):
        return parse_configurations(_decoded(text, "the JSON", faults), faults)
    if text.endswith(".json"):
        try:
            content = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            faults.append(f"{text} can't be read ({why}); give the path of a JSON file that the job can see")
            return Requested()
        return parse_configurations(_decoded(content, text, faults), faults)
    return _compact(text, faults)


def _decoded(text: str, what: str, faults: list[str]) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        faults.append(f"{what} can't be read ({error}); give a list of rule configurations")
        return []


def _compact(text: str, faults: list[str]) -> Requested:
    chosen: dict[str, RuleRequest] = {}
    named: set[str] = set()
    for number, part in enumerate(part.strip() for part in text.split(",")):
        if part == "none" and text == "none":
            break
        if part == "default" and number == 0:
            chosen = {name: RuleRequest(spec, spec.defaults(), named=False) for name, spec in RULES.items() if spec.on}
        elif part.startswith("-"):
            _leave_out(part[1:].strip(), chosen, faults)
        else:
            name, *settings = re.split(r"(?<!=run):(?=\w+=)", part)
            name = name.strip()
            if name in named:
                faults.append(f"{name} is given twice; give it once")
            named.add(name)
            for request in requests(name, _settings(name, settings, faults), faults):
                chosen[request.spec.name] = request
    found = Requested()
    for request in sorted(chosen.values(), key=lambda each: list(RULES).index(each.spec.name)):
        found.add(request)
    return found


def _leave_out(name: str, chosen: dict[str, RuleRequest], faults: list[str]) -> None:
    if name not in RULES:
        faults.append(unknown_rule(name))
    elif chosen.pop(name, None) is None:
        faults.append(f"-{name} leaves out a rule that isn't there; write default,-{name}")


def _settings(rule: str, parts: Sequence[str], faults: list[str]) -> dict[str, object]:
    values: dict[str, object] = {}
    for part in parts:
        name, sign, value = part.partition("=")
        if not sign:
            faults.append(f"{rule}: a parameter is NAME=VALUE, got {part!r}")
        elif name in values:
            faults.append(f"{rule}: {name} is given twice; give it once")
        values[name.strip()] = value.strip()
    return values


def requests(name: str, given: Mapping[str, object], faults: list[str], label: str = "") -> list[RuleRequest]:
    """The rule of that name with these parameters; ProfilerReport gives them all. Faults are appended."""
    if name == PROFILER_REPORT:
        return _all_profiler_rules(given, faults)
    spec = RULES.get(name)
    if spec is None:
        faults.append(unknown_rule(name))
        return []
    parameters: dict[str, Any] = spec.defaults()
    action: str | None = None
    for key, value in given.items():
        if key == "action":
            action = str(value)
            if not _ACTION.fullmatch(action):
                faults.append(f"{name}: action must be report, stop, finish or run:COMMAND, got {action!r}")
        elif key not in spec.parameters:
            faults.append(f"{name} has no parameter {key}; {_near(key, list(spec.parameters))}")
        else:
            try:
                parameters[key] = spec.parameters[key].parse(value)
            except ValueError as error:
                faults.append(f"{name}: {key} {error}, got {value!r}")
    missing = [key for key, each in spec.parameters.items() if each.default is None and key not in given]
    if missing:
        faults.append(f"{name} needs {' and '.join(missing)}, which have no default")
    return [RuleRequest(spec, parameters, action, label=label or name)]


def _all_profiler_rules(given: Mapping[str, object], faults: list[str]) -> list[RuleRequest]:
    """Its parameters are called RULE_PARAMETER, in any case, as in CPUBottleneck_threshold."""
    by_rule: dict[str, dict[str, object]] = {name: {} for name in PROFILER_RULES}
    spelled = {name.lower(): name for name in PROFILER_RULES}
    for key, value in given.items():
        if key == "action":
            for values in by_rule.values():
                values[key] = value
            continue
        rule, _, parameter = key.partition("_")
        if rule.lower() in spelled and parameter:
            by_rule[spelled[rule.lower()]][parameter.lower()] = value
        else:
            faults.append(f"{PROFILER_REPORT}: a parameter is called RULE_PARAMETER (StepOutlier_stddev), got {key!r}")
    found = [request for name, values in by_rule.items() for request in requests(name, values, faults)]
    return [RuleRequest(each.spec, each.parameters, each.action, named=False, label=each.label) for each in found]


def unknown_rule(name: str) -> str:
    """The sentence for a name that is no rule."""
    if name in ("default", "none"):
        return f"{name} can't stand there; write default first, or none alone"
    return f"there is no rule {name!r}; {_near(name, [*RULES, PROFILER_REPORT])}"


def _near(name: str, known: list[str]) -> str:
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    if close:
        return f"did you mean {by_lower[close[0]]}?"
    return f"the names are {', '.join(known)}" if known else "it takes none"


MOST_RULES: Final = 20  # of each kind, as in SageMaker
_LISTS: Final = ("DebugRuleConfigurations", "ProfilerRuleConfigurations")
# Keys of RuleParameters that say where a rule runs, not how it judges.
_PLACE: Final = re.compile(r"rule_to_invoke|base_trial|other_trials?(_\d+)?|scan_interval_us|source_s3_uri|action_json")


def parse_configurations(value: object, faults: list[str]) -> Requested:
    """The rules of a list of entries, of one entry, or of an object with the two lists. Faults are appended."""
    found = Requested()
    counts = {"debugger": 0, "profiler": 0}
    for number, entry in enumerate(_entries(value, faults), 1):
        if not isinstance(entry, dict):
            faults.append(f"rule configuration {number} must be an object, got {type(entry).__name__}")
            continue
        # The SDK's rule_configs wrap one, with the collections that the rule needs beside it.
        about = entry.get("DebugRuleConfiguration", entry)
        parameters = about.get("RuleParameters") or {}
        label = str(about.get("RuleConfigurationName") or "")
        if not isinstance(parameters, dict):
            faults.append(f"{label or f'rule configuration {number}'}: RuleParameters must be an object")
            continue
        name = str(parameters.get("rule_to_invoke") or label)
        counts["profiler" if name in PROFILER_RULES or name == PROFILER_REPORT else "debugger"] += 1
        for request in _requests(name, label, parameters, found.notes, faults):
            found.add(request)
    for kind, count in counts.items():
        if count > MOST_RULES:
            faults.append(f"there are {count} {kind} rules, a job may have {MOST_RULES}")
    return found


def _entries(value: object, faults: list[str]) -> Iterator[object]:
    if isinstance(value, list):
        yield from value
    elif isinstance(value, dict) and any(name in value for name in _LISTS):
        for name in _LISTS:
            entries = value.get(name) or []
            if isinstance(entries, list):
                yield from entries
            else:
                faults.append(f"{name} must be a list, got {type(entries).__name__}")
    elif value:
        yield value


def _requests(
    name: str, label: str, parameters: Mapping[str, Any], notes: list[str], faults: list[str]
) -> list[RuleRequest]:
    if not name:
        faults.append("a rule configuration needs RuleParameters with rule_to_invoke, or a RuleConfigurationName")
        return []
    if "source_s3_uri" in parameters:
        faults.append(f"{label or name}: own rules (source_s3_uri) can't run here; {unknown_rule(name)}")
        return []
    known = RULES[name].parameters if name in RULES else {}
    given = {key: value for key, value in parameters.items() if key in known or not _PLACE.fullmatch(key)}
    # The SDK writes every value as text, Python's None too.
    given = {key: "" if value == "None" and key in known and known[key].default == "" else value
             for key, value in given.items()}  # fmt: skip
    action = _action(label or name, str(parameters.get("action_json") or ""), notes, faults)
    if action is not None:
        given.setdefault("action", action)
    return requests(name, given, faults, label)


def _action(name: str, text: str, notes: list[str], faults: list[str]) -> str | None:
    """What `action_json` asks for: a list of actions or one; the SDK puts a backslash before each quote in it."""
    if not text:
        return None
    try:
        value = json.loads(text.replace('\\"', '"'))
    except ValueError:
        faults.append(f"{name}: action_json can't be read as JSON, got {text!r}")
        return None
    chosen = None
    for each in value if isinstance(value, list) else [value]:
        kind = str(each.get("name", "")).lower() if isinstance(each, dict) else ""
        if kind == "stoptraining":
            chosen = STOP
        elif kind in ("email", "sms"):
            notes.append(f"{name}: its action {kind} isn't there outside of SageMaker; {RUN}COMMAND can send a message")
        else:
            faults.append(f"{name}: action_json knows stoptraining, email and sms, got {each!r}")
    return chosen
