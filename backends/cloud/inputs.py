"""What a training reads, in S3: its data and weights as channels, and its hyperparameters as they are there."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backends.base import Watch
from backends.cloud.account import Account
from backends.cloud.data import DataSet, check_weights, opened, upload_weights
from backends.inputs import PRETRAINED_CHANNEL, rules_text
from backends.stop import Stop
from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters

_INPUT: Final = "/opt/ml/input/data"


@dataclass(frozen=True)
class Inputs:
    """channels: name -> URL of a prefix. hyperparameters: as the container is to read them."""

    channels: Mapping[str, str]
    hyperparameters: Hyperparameters


def travelling(hyperparameters: Hyperparameters) -> Hyperparameters:
    """Without this machine's paths: weights are a channel's file, rules in a file travel as text.

    Raises BackendError when the rules can't be read.
    """
    chosen = hyperparameters
    if weights := weights_file(chosen):
        chosen = replace(chosen, pretrained=f"{_INPUT}/{PRETRAINED_CHANNEL}/{weights.name}")
    return replace(chosen, rules=_short(rules_text(chosen.rules)))


def from_container(given: Mapping[str, str]) -> Hyperparameters | None:
    """Of a job's own; None when it isn't Kennel's."""
    try:
        return Hyperparameters.parse(given)
    except ConfigError:
        return None


def weights_file(hyperparameters: Hyperparameters) -> Path | None:
    """The file of weights to start from; None for ImageNet's and for none."""
    given = hyperparameters.pretrained
    return None if given in ("imagenet", "none") else Path(given)


def _short(rules: str) -> str:
    """JSON without its white space: SageMaker limits a hyperparameter's length."""
    if not rules.lstrip().startswith(("[", "{")):
        return rules
    try:
        return json.dumps(json.loads(rules), separators=(",", ":"))
    except ValueError:
        return rules


class Luggage:
    """What is to travel, and hasn't yet. data: the data set, compared with what S3 has."""

    def __init__(self, account: Account, data: DataSet, hyperparameters: Hyperparameters) -> None:
        self._account = account
        self._hyperparameters = hyperparameters
        self.data = data

    def send(self, watch: Watch, wish: Stop) -> Inputs:
        """Raises BackendError, and Stopped for the wish."""
        channels = dict(self.data.send(watch, wish).channels)
        if weights := weights_file(self._hyperparameters):
            place = upload_weights(self._account, weights, watch, wish)
            channels[PRETRAINED_CHANNEL] = f"{place.url}/"
        return Inputs(channels, travelling(self._hyperparameters))


@contextmanager
def luggage(
    account: Account, data: Path, hyperparameters: Hyperparameters, watch: Watch, wish: Stop
) -> Iterator[Luggage]:
    """Looked through and compared with S3; what had to be packed for it is gone at the end. Raises BackendError."""
    if weights := weights_file(hyperparameters):
        check_weights(weights)
    with opened(account, data, watch, wish) as found:
        yield Luggage(account, found, hyperparameters)
