"""What the leader of a search and its workers say to each other: JSON objects by HTTP POST, a path for each call."""

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import asdict, fields
from typing import Any, Final

from contract.hyperparameters import Hyperparameters
from train.data.dataset import DataSet
from train.job_config import read_port
from tuning.searcher import Trial

PORT: Final = 7931
PORT_VARIABLE: Final = "KENNEL_TUNING_PORT"
FINGERPRINT_HEADER: Final = "Kennel-Search"
BODY_LIMIT: Final = 1 << 20
# A connection on which nothing comes for so long is given up.
SILENCE_S: Final = 30.0
# A host tells that it is alive so often; after so long without a word its trials are given up.
ALIVE_EVERY_S: Final = 5.0
LOST_AFTER_S: Final = 60.0


def fingerprint(hyperparameters: Hyperparameters, data: DataSet) -> str:
    """Of all that the hosts of one search must have in common: hyperparameters, classes and the images' names."""
    digest = hashlib.sha256(json.dumps([asdict(hyperparameters), data.classes], sort_keys=True).encode())
    for role, split in sorted(data.splits.items()):
        digest.update(role.encode())
        for sample in split.samples:
            digest.update(f"\n{sample.label} {sample.name}".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()[:32]


def port_of(environ: Mapping[str, str] = os.environ) -> int:
    """Where the leader of several hosts listens. Raises ConfigError when KENNEL_TUNING_PORT is no port."""
    return read_port(environ, PORT_VARIABLE, PORT)


def encode_trial(trial: Trial) -> dict[str, Any]:
    """JSON-ready; of the hyperparameters those that differ from their defaults."""
    default = Hyperparameters()
    chosen = {
        each.name: value
        for each in fields(Hyperparameters)
        if (value := getattr(trial.hyperparameters, each.name)) != getattr(default, each.name)
    }
    return {"number": trial.number, "values": dict(trial.values), "hyperparameters": chosen}


def decode_trial(given: Mapping[str, Any]) -> Trial:
    """The trial that `encode_trial` wrote."""
    return Trial(given["number"], given["values"], Hyperparameters(**given["hyperparameters"]))
