"""docs/configuration.md says what is declared, and its example is one."""

import json
import re
from dataclasses import Field
from pathlib import Path
from typing import Any

from backends.settings.read import SECTIONS, TABLE, read
from contract.options import allowed

TEXT = (Path(__file__).resolve().parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")


def default(each: "Field[Any]") -> str:
    """As kennel.toml has it."""
    return "{}" if each.metadata["kind"] == "pairs" else json.dumps(each.default)


def test_every_setting_is_there_as_it_is_declared() -> None:
    documented = {}
    for section in SECTIONS:
        body = TEXT.split(f"### [{section}]\n", 1)[1].split("\n### ", 1)[0]
        table = body.split("| name | default | allowed | meaning |\n|---|---|---|---|\n", 1)[1].split("\n\n", 1)[0]
        documented[section] = [
            [cell.strip() for cell in line.strip("|").split(" | ")] for line in table.strip().splitlines()
        ]
    declared = {
        section: [
            [f"`{name.key}`", f"`{default(each)}`", allowed(each), each.metadata["help"]]
            for name, each in TABLE.items()
            if name.section == section
        ]
        for section in SECTIONS
    }
    assert documented == declared
    assert sum(map(len, documented.values())) == len(TABLE)
    assert re.findall(r"^### \[(\w+)\]$", TEXT, re.M) == list(SECTIONS)


def test_the_example_can_be_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```toml\n(.*?)```", TEXT, re.S)
    (tmp_path / "kennel.toml").write_text(example)
    settings = read(tmp_path, [], {}).settings
    assert settings.kennel.on == "sagemaker"
    assert settings.sagemaker.tags == (("team", "dogs"),)
    assert settings.sagemaker.max_cost == 20
    assert settings.train.spot is True


def test_the_flags_that_are_shown_can_be_read(tmp_path: Path) -> None:
    shown = re.findall(r"(?<=-o )(?:'([^']+)'|([a-z_.]+=[^\s`]+))", TEXT)
    flags = [quoted or plain for quoted, plain in shown]
    assert "train.spot=true" in flags
    assert len(flags) >= 6
    settings = read(tmp_path, [*dict.fromkeys(flags), "max_instances=4"], {}).settings
    assert settings.deploy.schedule == ("0 7 ? * MON,FRI *=2:4",)
    assert settings.sagemaker.role == "kennel-execution"
