"""A real training, its page, a comparison's page, and a browser to open them in; without Chromium the tests fail."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from tests.browser.chromium import Browser, Missing
from tests.train.support import finish, make_classes, run, start_train

# Too many for one glance, and names that have to stay text.
CLASSES = ("001.Affenpinscher", '002.<b>bold & "co"', "German_shepherd_dog", "pug", "beagle", "{{ whippet }}")


@dataclass(frozen=True)
class Page:
    """A page, and the report that it was made from."""

    html: Path

    @cached_property
    def report(self) -> dict[str, Any]:
        value = json.loads(self.html.with_suffix(".json").read_text())
        assert isinstance(value, dict)
        return value


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """Fails, rather than skips: a page that nobody opened proves nothing."""
    try:
        started = Browser(tmp_path_factory.mktemp("profile"))
    except Missing as missing:
        sentence = str(missing)
    else:
        yield started
        started.close()
        return
    pytest.fail(sentence, pytrace=False)


@pytest.fixture(scope="session")
def jobs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two finished jobs on the same six classes of grey pictures, of which neighbours are hard to tell apart."""
    roots = [tmp_path_factory.mktemp(name) for name in ("first", "second")]
    for root in roots:
        for channel, count, seed in (("train", 10, 0), ("validation", 4, 100), ("test", 6, 200)):
            make_classes(root / "input" / "data" / channel, count, CLASSES, seed)
    started = [start_train(root, epochs=epochs) for root, epochs in zip(roots, ("4", "1"), strict=True)]
    ended = [finish(process, root) for process, root in zip(started, roots, strict=True)]
    assert [each.code for each in ended] == [0, 0], [each.err for each in ended]
    return roots


@pytest.fixture(scope="session")
def evaluation(jobs: list[Path]) -> Page:
    """What `train` left."""
    return Page(jobs[0] / "output" / "data" / "evaluation.html")


@pytest.fixture(scope="session")
def comparison(jobs: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Page:
    """What `python -m train.compare` made of the two jobs."""
    report = tmp_path_factory.mktemp("comparison") / "comparison.json"
    options = ("--artifact", str(jobs[0] / "model"), "--baseline", str(jobs[1] / "model"), "--device", "cpu")
    data = str(jobs[0] / "input" / "data")
    result = run(["train.compare", *options, "--data", data, "--json", str(report)], report.parent)
    assert result.code == 0, result.err
    return Page(report.with_suffix(".html"))
