"""Holds the model: one thread loads it and warms it up; then as many as the engine allows predict batches."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from model.artifact import Artifact
from serve.batching import BatchQueue, PredictionJob, gather, scatter, stack
from serve.engines.base import Engine, FloatArray, UInt8Array
from serve.errors import RequestError, unavailable

_log = logging.getLogger(__name__)

# /ping has 2 s; its test prediction leaves some of that for the network.
SELF_TEST_S: Final = 1.5
IDLE_S: Final = 30.0


@dataclass(frozen=True)
class Model:
    """A loaded network and the artifact that it came from."""

    artifact: Artifact
    engine: Engine


class ModelHost:
    """Predictions for many threads from an engine that only the host's own worker threads ever touch.

    load: makes the model, in the first of them. on_failure: called there when that or the warm-up raises.
    timeout_s: how long a prediction is waited for. stuck_after_s: when a running one counts as stuck.
    """

    def __init__(
        self,
        load: Callable[[], Model],
        *,
        timeout_s: float,
        stuck_after_s: float,
        on_ready: Callable[[], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._load = load
        self._timeout_s = timeout_s
        self._stuck_after_s = stuck_after_s
        self._on_ready = on_ready
        self._on_failure = on_failure
        self._model: Model | None = None
        self._queue: BatchQueue | None = None
        # When each worker thread's prediction began; without those that are idle.
        self._running_since: dict[int, float] = {}
        self._last_success = 0.0
        self._failed = False
        self._self_test: PredictionJob | None = None
        self._self_test_lock = threading.Lock()

    def start(self) -> None:
        """Begin to load; returns at once."""
        # Daemons: neither a long load nor a stuck prediction may keep the process from ending.
        threading.Thread(target=self._start, name="engine", daemon=True).start()

    @property
    def model(self) -> Model:
        """The loaded model. Raises RequestError (503) until it has answered its warm-up prediction."""
        if self._model is None:
            raise _loading()
        return self._model

    def predict(self, images: UInt8Array) -> FloatArray:
        """Probabilities (N, classes) for uint8 images (N, H, W, 3).

        Raises RequestError: 503 when there is no model yet or the answer doesn't come in time, 500 when the engine
        fails.
        """
        if self._queue is None:
            raise _loading()
        try:
            return gather(self._queue.add(images), self._timeout_s)
        except TimeoutError as error:
            raise unavailable(f"no prediction came within {self._timeout_s:g} s", 5) from error
        except Exception as error:
            # The engine's thread has logged it, with its traceback.
            raise RequestError(500, "the model failed on this image; the server's log says why") from error

    def fault(self) -> str:
        """Why predictions don't work now, said within SELF_TEST_S seconds; empty where they do.

        It makes a test prediction when the last one failed, or the last success is IDLE_S seconds ago.
        """
        if self._model is None or self._queue is None:
            return "the model is being loaded"
        now = time.monotonic()
        # A copy, made at once: the workers change it.
        running = tuple(self._running_since.copy().values())
        if running and now - min(running) > self._stuck_after_s:
            return f"the engine is stuck: a prediction has been running for {now - min(running):.0f} s"
        if not self._failed and (running or now - self._last_success < IDLE_S):
            return ""
        with self._self_test_lock:
            if self._self_test is None or self._self_test.answer.done():
                (self._self_test,) = self._queue.add(_probe(self._model.artifact))
            test = self._self_test
        try:
            test.answer.result(SELF_TEST_S)
        except TimeoutError:
            return f"a test prediction gave no answer within {SELF_TEST_S:g} s"
        except Exception as error:  # noqa: BLE001 - whatever the engine raises
            return f"predictions fail ({type(error).__name__}); the server's log says why"
        return ""

    def _start(self) -> None:
        started = time.monotonic()
        try:
            model = self._load()
            predict_checked(model, _probe(model.artifact))
        except BaseException as error:  # noqa: BLE001 - passed on
            self._on_failure(error)
            return
        self._last_success = time.monotonic()
        queue = self._queue = BatchQueue(model.engine.max_batch, model.engine.max_concurrency)
        self._model = model
        for number in range(2, model.engine.max_concurrency + 1):
            threading.Thread(target=self._work, args=(model, queue), name=f"engine-{number}", daemon=True).start()
        took = self._last_success - started
        _log.info("ready: %s; loaded and warmed up in %.1f s", model.engine.description, took)
        self._on_ready()
        self._work(model, queue)

    def _work(self, model: Model, queue: BatchQueue) -> None:
        while True:
            if batch := queue.take():
                self._predict_batch(model, batch)

    def _predict_batch(self, model: Model, batch: Sequence[PredictionJob]) -> None:
        thread = threading.get_ident()
        self._running_since[thread] = time.monotonic()
        try:
            probabilities = predict_checked(model, stack(batch))
        except Exception as error:  # noqa: BLE001 - passed on
            _log.exception("the engine failed on a batch of %d", len(batch))
            self._failed = True
            for job in batch:
                job.answer.set_exception(error)
        else:
            self._failed = False
            self._last_success = time.monotonic()
            scatter(batch, probabilities)
        finally:
            self._running_since.pop(thread, None)


def _loading() -> RequestError:
    return unavailable("the model is being loaded; try again in a moment", 2)


def predict_checked(model: Model, images: UInt8Array) -> FloatArray:
    """The engine's probabilities (N, classes). Raises ValueError for another shape, or numbers not finite."""
    probabilities = np.asarray(model.engine.predict(images), dtype=np.float64)
    expected = (len(images), len(model.artifact.labels))
    if probabilities.shape != expected:
        raise ValueError(f"the engine gave an array of shape {probabilities.shape}, expected {expected}")
    if not np.isfinite(probabilities).all():
        raise ValueError("the engine gave numbers that aren't finite; the weights may be damaged")
    return probabilities


def _probe(artifact: Artifact) -> UInt8Array:
    size = artifact.preprocess.image_size
    return np.full((1, size, size, 3), 128, dtype=np.uint8)
