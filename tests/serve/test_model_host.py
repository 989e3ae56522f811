"""What takes too long to wait for through a process: a long idle time."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from model.artifact import Artifact
from serve import model_host
from serve.engines.base import FloatArray, UInt8Array
from serve.model_host import Model, ModelHost
from tests.serve.conftest import Toy


class Scripted:
    description = "scripted"
    max_batch = 1
    max_concurrency = 1

    def __init__(self) -> None:
        self.calls = 0
        self.act: Callable[[], object] = lambda: None

    def predict(self, images: UInt8Array) -> FloatArray:
        self.calls += 1
        self.act()
        return np.full((len(images), 3), 1 / 3)


@pytest.fixture
def engine() -> Scripted:
    return Scripted()


@pytest.fixture
def host(toy: Toy, engine: Scripted) -> ModelHost:
    ready = threading.Event()
    artifact = Artifact.load(toy.ml_root / "model")
    host = ModelHost(
        lambda: Model(artifact, engine),
        timeout_s=60,
        stuck_after_s=60,
        on_ready=ready.set,
        on_failure=lambda error: pytest.fail(str(error)),
    )
    host.start()
    assert ready.wait(60)
    return host


def test_no_test_prediction_after_a_recent_success(host: ModelHost, engine: Scripted) -> None:
    assert [host.fault() for _ in range(5)] == [""] * 5
    assert engine.calls == 1  # the warm-up


def test_a_test_prediction_after_a_long_idle_time(
    host: ModelHost, engine: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_host, "IDLE_S", 0.0)
    assert host.fault() == ""
    assert engine.calls == 2

    def fail() -> None:
        raise OSError("/some/path is gone")

    engine.act = fail
    fault = host.fault()
    assert "predictions fail (OSError)" in fault
    assert "/some/path" not in fault


def test_a_test_prediction_that_hangs_is_not_waited_for(
    host: ModelHost, engine: Scripted, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_host, "IDLE_S", 0.0)
    monkeypatch.setattr(model_host, "SELF_TEST_S", 0.05)
    release = threading.Event()
    engine.act = release.wait
    assert "no answer within 0.05 s" in host.fault()
    # It is one test that hangs, not one more for every probe.
    monkeypatch.setattr(host, "_running_since", {})
    assert host.fault()
    assert engine.calls == 2
    release.set()


def test_wrong_shapes_are_an_engines_fault(toy: Toy, engine: Scripted) -> None:
    model = Model(Artifact.load(toy.ml_root / "model"), engine)
    engine.predict = lambda images: np.ones((1, 2))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match=r"shape \(1, 2\), expected \(1, 3\)"):
        model_host.predict_checked(model, np.zeros((1, 32, 32, 3), np.uint8))
