"""How long a request's parts took, as headers."""

from collections.abc import Mapping
from dataclasses import dataclass

from serve.options import ATTRIBUTES


@dataclass(frozen=True)
class Moments:
    """When the request, its body, its pixels, its prediction and its answer were there, in seconds of one clock."""

    started: float
    received: float
    decoded: float
    predicted: float
    answered: float


def headers(artifact_id: str, moments: Moments) -> Mapping[str, str]:
    """Which weights answered, and the milliseconds that it took; waiting for a turn counts.

    SageMaker hands on one header alone, so that one says all of it too.
    """
    decode = 1000 * (moments.decoded - moments.received)
    predict = 1000 * (moments.predicted - moments.decoded)
    total = 1000 * (moments.answered - moments.started)
    return {
        "X-Kennel-Artifact": artifact_id,
        "Server-Timing": f"decode;dur={decode:.1f}, predict;dur={predict:.1f}, total;dur={total:.1f}",
        ATTRIBUTES: (f"artifact={artifact_id},decode_ms={decode:.1f},predict_ms={predict:.1f},total_ms={total:.1f}"),
    }
