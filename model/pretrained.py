"""Pretrained backbone weights: torchvision's for ImageNet, or a file's. Reading a file executes nothing."""

import os
import pickle
import socket
import warnings
from collections.abc import Mapping
from http.client import HTTPException
from pathlib import Path
from urllib.parse import urlparse

import safetensors.torch
import torch
from torch import Tensor, nn

from contract.errors import WeightsError
from model._torchvision import torchvision

FOLDER_VARIABLE = "KENNEL_PRETRAINED_DIR"
_DOWNLOAD_TIMEOUT_S = 20
_EXPECTED = "give a state dict saved by torch.save(model.state_dict(), FILE) or a .safetensors file"


def imagenet_url(architecture: str) -> str:
    """Where torchvision publishes the architecture's default ImageNet weights."""
    return str(torchvision.models.get_model_weights(architecture).DEFAULT.url)


def load_backbone(backbone: nn.Module, architecture: str, pretrained: str) -> str:
    """Load pretrained weights into the backbone and say where they came from.

    pretrained: `imagenet` (KENNEL_PRETRAINED_DIR, then torch's cache, then a download), `none`, or a file:
    .safetensors or a .pth state dict, of torchvision's ResNet (with or without its fc layer) or of a Kennel
    artifact.
    Raises WeightsError when the weights can't be had, can't be read or don't fit.
    """
    if pretrained == "none":
        return "none"
    if pretrained == "imagenet":
        path, source = _imagenet_file(architecture)
    else:
        path = Path(pretrained)
        source = f"file {path.name}"
    _fit(backbone, _read_state(path), path, architecture)
    return source


def _imagenet_file(architecture: str, environ: Mapping[str, str] = os.environ) -> tuple[Path, str]:
    url = imagenet_url(architecture)
    name = Path(urlparse(url).path).name
    folders = [Path(environ[FOLDER_VARIABLE])] if environ.get(FOLDER_VARIABLE) else []
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for folder in [*folders, cache]:
        if (folder / name).is_file():
            return folder / name, f"imagenet ({name})"
    return _download(url, cache / name), f"imagenet ({name}, downloaded)"


def _download(url: str, target: Path) -> Path:
    """Fetch torchvision's file; its name carries the first digits of its SHA-256, which is checked."""
    ways_out = (
        f"either set {FOLDER_VARIABLE} to a folder that holds {target.name} (the image bakes it in by "
        "default), or set pretrained to a weights file or to none"
    )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        # torch.hub's own download has no time limit: behind a firewall a job would hang for minutes.
        before = socket.getdefaulttimeout()
        socket.setdefaulttimeout(_DOWNLOAD_TIMEOUT_S)
        try:
            digits = target.stem.rsplit("-", 1)[-1]
            torch.hub.download_url_to_file(url, str(target), hash_prefix=digits, progress=False)
        finally:
            socket.setdefaulttimeout(before)
    except (OSError, HTTPException, RuntimeError) as error:
        reason = getattr(error, "reason", error)
        raise WeightsError(f"the ImageNet weights can't be downloaded from {url} ({reason}): {ways_out}") from error
    return target


def _read_state(path: Path) -> dict[str, Tensor]:
    if not path.is_file():
        raise WeightsError(f"pretrained: there is no file {path}; give imagenet, none or an existing weights file")
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        with warnings.catch_warnings():
            # torch's warnings about odd pickle protocols help nobody here.
            warnings.simplefilter("ignore")
            # weights_only: the restricted unpickler builds tensors and plain containers, calls nothing else.
            state = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        # torch's own words advise to switch the protection off.
        raise WeightsError(f"pretrained: {path} holds more than tensors, or is no weights file; {_EXPECTED}") from error
    except Exception as error:
        # Damaged files make torch raise nearly anything: IndexError, struct.error, AssertionError ...
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise WeightsError(f"pretrained: {path} is no readable weights file ({first}); {_EXPECTED}") from error
    if isinstance(state, Mapping) and isinstance(state.get("state_dict"), Mapping):
        state = state["state_dict"]
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and isinstance(value, Tensor) for name, value in state.items()
    ):
        raise WeightsError(f"pretrained: {path} holds no state dict (name -> tensor); {_EXPECTED}")
    return dict(state)


def _fit(backbone: nn.Module, state: dict[str, Tensor], path: Path, architecture: str) -> None:
    state = {name.removeprefix("module."): value for name, value in state.items()}
    if any(name.startswith("backbone.") for name in state):
        state = {n.removeprefix("backbone."): v for n, v in state.items() if n.startswith("backbone.")}
    state = {name: value for name, value in state.items() if not name.startswith("fc.")}
    own = backbone.state_dict()
    # Files from before BatchNorm counted its batches lack this; it isn't used at evaluation.
    missing = [name for name in own if name not in state and not name.endswith("num_batches_tracked")]
    unknown = [name for name in state if name not in own]
    unlike = [name for name in own if name in state and own[name].shape != state[name].shape]
    if missing or unknown or unlike:
        example = (missing or unknown or unlike)[0]
        raise WeightsError(
            f"pretrained: the weights in {path} don't fit {architecture}: {len(missing)} tensors missing, "
            f"{len(unknown)} unknown, {len(unlike)} of another shape (for example {example}); "
            "choose the architecture they were made for"
        )
    backbone.load_state_dict(state, strict=False)
