"""A leader of a search that is made up, and what is needed to speak to it."""

import http.client
import json
from typing import Any

import numpy as np

from contract.hyperparameters import Hyperparameters
from train.search.client import Client
from train.search.remote import FINGERPRINT_HEADER, Coordinator, Server
from tuning.searcher import Metrics, Trial

PRINT = "0123456789abcdef"


class Notes:
    """A searcher that hands out `count` trials, ends those that report in epoch 3, and notes every call."""

    def __init__(self, count: int = 3) -> None:
        self.count = count
        self.given = 0
        self.calls: list[tuple[Any, ...]] = []
        self.fault: Exception | None = None

    def ask(self) -> Trial | None:
        if self.fault:
            raise self.fault
        if self.given == self.count:
            return None
        self.given += 1
        lr = 0.1 + self.given / 3
        return Trial(self.given, {"lr": lr, "optimizer": "sgd"}, Hyperparameters(lr=lr, optimizer="sgd", epochs=4))

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        self.calls.append(("report", number, epoch, dict(metrics)))
        # As a pruner of Optuna's says it: JSON knows no such type.
        decision: bool = np.bool_(epoch >= 3)  # type: ignore[assignment]
        return decision

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        self.calls.append(("complete", number, dict(metrics), seconds, run))

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        self.calls.append(("prune", number, seconds, run))

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        self.calls.append(("fail", number, reason, run))


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Site:
    """A leader, and what is needed to speak to it."""

    def __init__(self, notes: Notes) -> None:
        self.notes, self.clock = notes, Clock()
        self.coordinator = Coordinator(notes, self.clock)
        self.server = Server(self.coordinator, PRINT)

    def client(self, crew: str = "here", worker: int = 1, patience: float = 5, fingerprint: str = PRINT) -> Client:
        return Client("127.0.0.1", self.server.port, fingerprint, crew, worker, patience)

    def post(self, path: str, body: bytes, **headers: str) -> tuple[int, str]:
        """Status and sentence of an answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=10)
        connection.request("POST", path, body, {FINGERPRINT_HEADER: PRINT, **headers})
        reply = connection.getresponse()
        text = reply.read().decode()
        connection.close()
        assert reply.headers["Content-Type"] == "application/json"
        (answer,) = json.loads(text).values()
        return reply.status, answer
