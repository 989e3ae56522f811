"""What all tests share: no test may use the network, a GPU's presence or the user's own caches."""

import logging
import signal
import sys
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backends.settings.read import TABLE
from tests.forked import remember_environment

LEFT_OUT = pytest.StashKey[int]()
# Where the longest tests are: they begin first, so that no process is left alone with one at the end.
LONGEST_FIRST = (
    "test_same_weights.py",
    "train/",
    "monitor/",
    "cloud/",
    "contracts/",
    "backends/",
    "serve/",
    "local_test/",
)
# Port 9 (discard) on the loopback: closed on any sane machine, so a download fails at once.
CLOSED_PROXY = "http://127.0.0.1:9"


def pytest_configure() -> None:
    """Let Ctrl-C reach the tests' processes also where it is ignored, as in a shell's background job."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all", action="store_true", help="also run the tests that are marked as long")


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keep what pytest compiles of the tests, half of the time that collecting takes, whatever the environment says."""
    before, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        return (yield)
    finally:
        sys.dont_write_bytecode = before


@pytest.hookimpl(tryfirst=True)  # Whoever asks for a random order gets it.
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """The folders of long tests first. What is marked as long stays out, unless --all or its own name asks for it."""
    items.sort(key=_place)
    if config.option.all:
        return
    asked = [each for each in config.args if "::" in each]
    left_out = [
        item for item in items if item.get_closest_marker("long") and not any(item.nodeid in each for each in asked)
    ]
    config.stash[LEFT_OUT] = len(left_out)
    if hasattr(config, "workeroutput"):
        config.workeroutput["left_out"] = len(left_out)
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def _place(item: pytest.Item) -> int:
    path = item.path.as_posix()
    return next((place for place, part in enumerate(LONGEST_FIRST) if part in path), len(LONGEST_FIRST))


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A process that ran tests has ended: all have left out the same ones."""
    node.config.stash[LEFT_OUT] = getattr(node, "workeroutput", {}).get("left_out", 0)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if left_out := config.stash.get(LEFT_OUT, 0):
        what = "1 long test was" if left_out == 1 else f"{left_out} long tests were"
        terminalreporter.write_line(f"{what} left out: `make test-all` runs them too")


@pytest.fixture(autouse=True)
def fresh_logging() -> None:
    """Logging as Python starts with it, whatever an earlier test, or what it imported, has set up for its process."""
    root = logging.getLogger()
    root.setLevel(logging.WARNING)
    logging.disable(logging.NOTSET)
    for logger in root.manager.loggerDict.values():
        if isinstance(logger, logging.Logger):
            logger.disabled = False
    for handler in root.handlers[:]:
        # pytest's own come and go with each phase of a test.
        if not type(handler).__module__.startswith("_pytest"):
            root.removeHandler(handler)


@pytest.fixture(autouse=True, scope="session")
def closed_surroundings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """No variables or settings of Kennel's, torch's cache empty, downloads refused: here and in all children."""
    cache = tmp_path_factory.mktemp("torch-cache")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("KENNEL_ML_ROOT", "KENNEL_PRETRAINED_DIR", "TRAINING_JOB_NAME", "CUDA_VISIBLE_DEVICES"):
            patch.delenv(name, raising=False)
        # The person's own settings. KENNEL_IMAGE stays: the tests of the image are about that one.
        for setting in TABLE:
            if setting.variable != "KENNEL_IMAGE":
                patch.delenv(setting.variable, raising=False)
        nothing = tmp_path_factory.mktemp("settings") / "kennel.toml"
        nothing.touch()
        patch.setenv("KENNEL_CONFIG", str(nothing))
        for name in ("https_proxy", "HTTPS_PROXY"):
            patch.setenv(name, CLOSED_PROXY)
        patch.setenv("TORCH_HOME", str(cache))
        remember_environment()
        yield cache
