"""docs/debugger.md says what the tensor rules do: the section "Rules" is what this renders of the code."""

import inspect
import re
from textwrap import fill

from contract.rules.spec import Parameter, RuleSpec
from contract.rules.tensor import TENSOR_RULES
from monitor.debugger.rules.base import TensorRule
from monitor.rules import rule_class
from tests.train.support import REPOSITORY


def default_of(parameter: Parameter) -> str:
    if parameter.default is None:
        return "none: not judged"
    return f"`{parameter.default}`" if parameter.default != "" else "empty"


def rendered(spec: RuleSpec) -> str:
    """The section of one rule: when it fires, its exact definition (the class's docstring), and its parameters."""
    definition = inspect.getdoc(rule_class(spec.name))
    kind = f"{spec.severity}, {'on' if spec.on else 'off'} by default"
    rows = [f"| `{name}` | {default_of(each)} | {each.help} |" for name, each in spec.parameters.items()]
    table = "\n".join(["| parameter | default | meaning |", "|---|---|---|", *rows])
    fires = fill(f"Fires when {spec.fires} ({kind}).", 119)
    rule = rule_class(spec.name)(spec.defaults())
    assert isinstance(rule, TensorRule)
    needs = rule.needs()
    helps = fill(f"It needs {needs}. What helps: {spec.advice}", 119)
    return f"### {spec.name}\n\n{fires}\n\n{definition}\n\n{helps}\n\n{table}\n"


def test_each_rule_is_documented_as_it_is_implemented() -> None:
    text = (REPOSITORY / "docs" / "debugger.md").read_text(encoding="utf-8")
    section = re.split(r"\n## ", text.split("\n## Rules\n", 1)[1], maxsplit=1)[0]
    documented = re.split(r"(?m)^(?=### )", section)[1:]
    assert [each.split("\n", 1)[0] for each in documented] == [f"### {name}" for name in TENSOR_RULES]
    for given, spec in zip(documented, TENSOR_RULES.values(), strict=True):
        assert given.strip() == rendered(spec).strip()


def test_docstrings_say_more_than_the_name() -> None:
    lengths = {name: len(inspect.getdoc(rule_class(name)) or "") for name in TENSOR_RULES}
    assert len(lengths) == 16
    assert min(lengths.values()) >= 100
