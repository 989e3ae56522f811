"""docs/training.md says what the code does."""

import re

import pytest

from contract.hyperparameters import table_rows
from contract.metrics import METRICS, metric_regex
from tests.train.support import REPOSITORY, Finished
from train.data.splits import SPLIT_NAMES

TEXT = (REPOSITORY / "docs" / "training.md").read_text(encoding="utf-8")


def rows(section: str, header: str) -> list[list[str]]:
    """The cells of the table that begins with `header` in the section of that title."""
    body = re.split(r"\n#+ ", TEXT.split(f"# {section}\n", 1)[1], maxsplit=1)[0]
    table = body.split(f"{header}\n", 1)[1].split("\n\n", 1)[0]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in table.splitlines()[1:]]


def test_the_hyperparameter_table() -> None:
    documented = rows("Hyperparameters", "| name | default | allowed | meaning |")
    declared = [[f"`{name}`", f"`{default}`", text, help_] for name, default, text, help_ in table_rows()]
    assert documented == declared
    assert len(documented) == 48


def test_the_recipes_table_tells_the_defaults() -> None:
    text = (REPOSITORY / "docs" / "recipe.md").read_text(encoding="utf-8")
    declared = {name: default for name, default, _, _ in table_rows()}
    default, off = text.split("## The default", 1)[1].split("## What is off", 1)
    off = off.split("## Measured", 1)[0]
    said = re.findall(r"`(\w+)=([\w.]+)`", default)
    assert len(said) >= 8
    assert [(name, declared[name]) for name, _ in said] == said
    switched = re.findall(r"`(\w+)=([\w.]+)`", off)
    assert len(switched) >= 9
    assert all(declared[name] != value for name, value in switched)


def test_the_metric_expressions() -> None:
    documented = rows("Metric lines", "| name | regular expression |")
    assert documented == [[name, f"`{metric_regex(name)}`"] for name in METRICS]


def test_the_metric_lines_have_the_documented_form(whole: Finished) -> None:
    examples = [line.strip() for line in TEXT.splitlines() if line.startswith("    ") and "=" in line]
    real = [line for line in whole.out.splitlines() if re.match(r"(epoch|test_loss)=", line)]

    def names(line: str) -> list[str]:
        return re.findall(r"([^=;]+)=[^;]+;", line)

    assert [names(line) for line in examples] == [names(real[0]), names(real[-1]), ["latency_ms"]]
    documented = dict(rows("Metric lines", "| name | regular expression |"))
    for name, expression in documented.items():
        assert len(re.findall(expression.strip("`"), "\n".join(examples))) == 1, name


def test_every_name_of_a_channel_is_documented() -> None:
    section = TEXT.split("### Channels", 1)[1].split("###", 1)[0]
    assert all(f"`{name}`" in section for name in SPLIT_NAMES)


@pytest.mark.parametrize("title", ["Artifact", "Data report"])
def test_every_field_is_documented(whole: Finished, title: str) -> None:
    section = TEXT.split(f"### {title}", 1)[1].split("\n#", 1)[0]
    fields = whole.manifest if title == "Artifact" else whole.data
    assert len(fields) >= 6
    assert all(f"`{name}`" in section for name in fields)


def test_every_file_that_is_left_is_documented(whole: Finished) -> None:
    left = [file for part in ("model", "output") for file in (whole.root / part).rglob("*") if file.is_file()]
    assert len(left) == 10
    for file in left:
        name = re.sub(r"tfevents\..*", "tfevents.*", str(file.relative_to(whole.root)))
        assert f"`{name}`" in TEXT or f"`{file.name}`" in TEXT
