"""SageMaker's own rule configurations, as CreateTrainingJob takes them and as its Python SDK writes them."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from train.rulebook.profiler_rules import PROFILER_RULES
from train.rulebook.request import PROFILER_REPORT, RULES, RUN, STOP, Requested, RuleRequest, requests, unknown_rule

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
