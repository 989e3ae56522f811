"""A worker's side of a search: a Searcher that speaks HTTP to the leader."""

import http.client
import json
import time
import uuid
from typing import Any, Final

from contract.errors import UserError
from train.search.remote import FINGERPRINT_HEADER, SILENCE_S, decode_trial
from tuning.searcher import Metrics, Trial

# The leader reads and checks its data first, and a peer's name may not resolve yet.
LEADER_WAIT_S: Final = 600.0
RETRY_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 5.0


class LeaderError(UserError):
    """The leader is gone, or refuses this host."""


class Client:
    """The search of the leader at `host`:`port`, for worker number `worker` of a crew.

    Each call is repeated for `patience` seconds when it gets no answer, then raises LeaderError; so does one that is
    refused.
    """

    def __init__(
        self, host: str, port: int, fingerprint: str, crew: str, worker: int = 0, patience: float = RETRY_S
    ) -> None:
        self._host, self._port, self._fingerprint = host, port, fingerprint
        self._crew, self._worker, self._patience = crew, worker, patience
        self.given = 0  # trials

    def waiting(self, patience: float) -> "Client":
        """The same with another patience."""
        return Client(self._host, self._port, self._fingerprint, self._crew, self._worker, patience)

    def ask(self) -> Trial | None:
        # The same in every repetition: an answer that was lost must not cost a trial.
        answer = self._call("ask", crew=self._crew, worker=self._worker, id=uuid.uuid4().hex)
        if answer is None:
            return None
        self.given += 1
        return decode_trial(answer)

    def report(self, number: int, epoch: int, metrics: Metrics) -> bool:
        return bool(self._call("report", number=number, epoch=epoch, metrics=dict(metrics)))

    def complete(self, number: int, metrics: Metrics, seconds: float, run: str | None = None) -> None:
        self._call("complete", number=number, metrics=dict(metrics), seconds=seconds, **_named(run))

    def prune(self, number: int, seconds: float, run: str | None = None) -> None:
        self._call("prune", number=number, seconds=seconds, **_named(run))

    def fail(self, number: int, reason: str, seconds: float, run: str | None = None) -> None:
        self._call("fail", number=number, reason=reason, seconds=seconds, **_named(run))

    def alive(self, host: str) -> bool:
        """Report that this host takes part. True: the search is over."""
        return bool(self._call("alive", crew=self._crew, host=host))

    def leave(self, host: str) -> None:
        """Report that this host has no worker any more."""
        self._call("leave", crew=self._crew, host=host)

    def lost(self, crew: str, reason: str, worker: int) -> None:
        """Report that a worker has ended, whatever it was at."""
        self._call("lost", crew=crew, reason=reason, worker=worker)

    def _call(self, name: str, **arguments: Any) -> Any:
        status, answer = self._answered(name, json.dumps(arguments).encode())
        if status != http.client.OK:
            raise LeaderError(f"the search's leader {self._host} refuses: {answer.get('error', status)}")
        return answer["answer"]

    def _answered(self, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        end, pause = time.monotonic() + self._patience, 0.05
        while True:
            try:
                return self._post(name, body)
            # ValueError: half an answer is no JSON. A name that can't be resolved is an OSError.
            except (OSError, http.client.HTTPException, ValueError) as error:
                if time.monotonic() + pause > end:
                    raise LeaderError(
                        f"the search's leader {self._host}:{self._port} can't be reached ({_why(error)}) and was tried "
                        f"for {self._patience:g} s; its log says what became of it"
                    ) from None
                time.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE_S)

    def _post(self, name: str, body: bytes) -> tuple[int, dict[str, Any]]:
        # Not urllib, which would ask a proxy for the other host.
        connection = http.client.HTTPConnection(self._host, self._port, timeout=SILENCE_S)
        try:
            headers = {FINGERPRINT_HEADER: self._fingerprint, "Content-Type": "application/json"}
            connection.request("POST", f"/{name}", body, headers)
            reply = connection.getresponse()
            answer = json.loads(reply.read())
            if not isinstance(answer, dict):
                raise ValueError("no JSON object")
            return reply.status, answer
        finally:
            connection.close()


def _why(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


def _named(run: str | None) -> dict[str, str]:
    return {} if run is None else {"run": run}
