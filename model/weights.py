"""An artifact's weights as a network that answers. Kept apart from `artifact`, which needs no torch."""

from collections.abc import Mapping
from pathlib import Path

import safetensors.torch
from safetensors import SafetensorError
from torch import Tensor

from contract.errors import ArtifactError
from model.artifact import Artifact
from model.network import ARCHITECTURES, HEADS, Classifier, build


def serialise(network: Classifier) -> bytes:
    """The network's state dict as a safetensors file."""
    return safetensors.torch.save({n: t.detach().cpu().contiguous() for n, t in network.state_dict().items()})


def load_network(artifact: Artifact) -> Classifier:
    """The artifact's network on the CPU, in evaluation mode. Raises ArtifactError if they don't fit."""
    if artifact.architecture not in ARCHITECTURES or artifact.head not in HEADS:
        raise ArtifactError(
            f"{artifact.path} is a {artifact.architecture} with a {artifact.head} head, which this Kennel "
            "doesn't know; use the version that wrote it"
        )
    shape = artifact.preprocess
    network = build(artifact.architecture, artifact.head, len(artifact.classes), shape.mean, shape.std)
    state = _read(artifact.weights)
    try:
        network.load_state_dict(dict(state))
    except RuntimeError as error:
        detail = str(error).splitlines()[1].strip() if "\n" in str(error) else str(error)
        raise ArtifactError(
            f"the weights in {artifact.weights} don't fit its manifest ({detail}); train again"
        ) from error
    return network.eval()


def _read(path: Path) -> Mapping[str, Tensor]:
    try:
        return safetensors.torch.load_file(path)
    except (SafetensorError, OSError, ValueError) as error:
        raise ArtifactError(
            f"{path} is no readable safetensors file ({error}); copy the artifact's folder again"
        ) from error
