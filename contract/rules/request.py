"""Which rules are to judge, and with which parameters: the hyperparameter `rules` in all its forms.

default                                       every rule of the default set
none                                          no rule
Overfit:ratio_threshold=0.3,VanishingGradient these rules
default,-Overfit,AllZero:threshold=90         the default set, changed
my_rules.losses:LossAbove:threshold=2         a rule of one's own, as module:class
[{"RuleConfigurationName": ...}]              SageMaker's own JSON, or the path of a file with it

SageMaker's own rule configurations, as CreateTrainingJob takes them and as its Python SDK writes them.
"""

import difflib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from contract.errors import ConfigError
from contract.plugins import load_attribute
from contract.rules.profiler import PROFILER_RULES
from contract.rules.rule import Rule
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
    own: `module:class` of one that isn't Kennel's.
    """

    spec: RuleSpec
    parameters: dict[str, Any]
    action: str | None = None
    named: bool = True
    label: str = ""
    own: str = ""
    profiler: bool = False  # whether it judges the profiler's files, not saved tensors

    @property
    def rule(self) -> str:
        """The name by which its class is found."""
        return self.own or self.spec.name

    def action_on_fire(self, rule_action: str) -> str:
        """What happens when it fires: its own action, or `rule_action` if what it finds is an error."""
        if self.action is not None:
            return self.action
        if self.parameters.get("stop_training_on_fire"):
            return STOP
        return rule_action if self.spec.severity == "error" else REPORT


@dataclass
class RuleSelection:
    """The rules that were asked for. notes: what in the request is of no effect here."""

    tensor: list[RuleRequest] = field(default_factory=list)
    profiler: list[RuleRequest] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, request: RuleRequest) -> None:
        """Put it where it belongs."""
        (self.profiler if request.profiler else self.tensor).append(request)


def parse_rules(text: str) -> RuleSelection:
    """The rules that `text` asks for. Raises ConfigError that names all its faults at once."""
    faults: list[str] = []
    found = _parse(text.strip(), faults)
    if faults:
        raise ConfigError(
            f"rules: {faults[0]}" if len(faults) == 1 else f"{len(faults)} faults in rules: " + " | ".join(faults)
        )
    return found


def _parse(text: str, faults: list[str]) -> RuleSelection:
    from contract.rules.request import parse_configurations

    if text.startswith(("[", "{")):
        return parse_configurations(_decoded(text, "the JSON", faults), faults)
    if text.endswith(".json"):
        try:
            content = Path(text).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no UTF-8 text"
            faults.append(f"{text} can't be read ({why}); give the path of a JSON file that the job can see")
            return RuleSelection()
        return parse_configurations(_decoded(content, text, faults), faults)
    return _compact(text, faults)


def _decoded(text: str, what: str, faults: list[str]) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        faults.append(f"{what} can't be read ({error}); give a list of rule configurations")
        return []


def _compact(text: str, faults: list[str]) -> RuleSelection:
    chosen: dict[str, RuleRequest] = {}
    named: set[str] = set()
    for number, part in enumerate(part.strip() for part in text.split(",")):
        if part == "none" and text == "none":
            break
        if part == "default" and number == 0:
            chosen = {name: _default(spec) for name, spec in RULES.items() if spec.on}
        elif part.startswith("-"):
            _leave_out(part[1:].strip(), chosen, faults)
        else:
            name, *settings = re.split(r"(?<!=run):(?=\w+=)", part)
            name = name.strip()
            if name in named:
                faults.append(f"{name} is given twice; give it once")
            named.add(name)
            for request in requests(name, _settings(name, settings, faults), faults):
                chosen[request.rule] = request
    found = RuleSelection()
    order = list(RULES)
    for request in sorted(chosen.values(), key=lambda each: len(order) if each.own else order.index(each.spec.name)):
        found.add(request)
    return found


def _default(spec: RuleSpec) -> RuleRequest:
    return RuleRequest(spec, spec.defaults(), named=False, profiler=spec.name in PROFILER_RULES)


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
    own = _load_own(name, faults) if ":" in name else None
    spec = own.spec if own is not None else RULES.get(name)
    if spec is None:
        if ":" not in name:
            faults.append(unknown_rule(name))
        return []
    parameters, action = _parse_parameters(name, spec, given, faults)
    if own is not None:
        return [RuleRequest(spec, parameters, action, label=label or spec.name, own=name, profiler=own.profiler)]
    return [RuleRequest(spec, parameters, action, label=label or name, profiler=name in PROFILER_RULES)]


def _parse_parameters(
    name: str, spec: RuleSpec, given: Mapping[str, object], faults: list[str]
) -> tuple[dict[str, Any], str | None]:
    """All parameters of a rule, typed, and its action. Faults are appended."""
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
    return parameters, action


def _load_own(name: str, faults: list[str]) -> type[Rule] | None:
    """The class of a rule that isn't Kennel's, named as `module:class`; None after a fault."""
    try:
        own = load_attribute("rule", name)
    except ConfigError as error:
        faults.append(str(error))
        return None
    if not (isinstance(own, type) and issubclass(own, Rule)):
        faults.append(f"the rule {name!r} is no subclass of TensorRule or ProfilerRule")
    elif not isinstance(own.spec, RuleSpec):
        faults.append(f"the rule {name!r} has no RuleSpec as its attribute spec")
    elif own.spec.name in RULES:
        faults.append(f"the rule {name!r} is called {own.spec.name} as one of Kennel's; give its spec another name")
    else:
        return own
    return None


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
    return [replace(request, named=False) for request in found]


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


def parse_configurations(value: object, faults: list[str]) -> RuleSelection:
    """The rules of a list of entries, of one entry, or of an object with the two lists. Faults are appended."""
    found = RuleSelection()
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
        selected = _requests(name, label, parameters, found.notes, faults)
        profiler = name in PROFILER_RULES or name == PROFILER_REPORT or any(each.profiler for each in selected)
        counts["profiler" if profiler else "debugger"] += 1
        for request in selected:
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
