"""What to do about a finding, in Kennel's own hyperparameters, given the ones that the training has."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from contract.rules.verdict import Verdict

_Chosen = Mapping[str, Any]
_LARGE_LR: Final = 0.01
_SMALL_LR: Final = 1e-5


def advise(verdict: Verdict, chosen: Mapping[str, Any]) -> str | None:
    """Sentences for a rule that fired; None where it didn't, or nothing is known of the training.

    chosen: the training's hyperparameters by name, typed; empty when the tensors are not of Kennel's making.
    """
    maker = _MAKERS.get(verdict.spec.name)
    if not chosen or not verdict.triggered or maker is None:
        return None
    return " ".join(maker(verdict, chosen)) or None


def _lower_lr(chosen: _Chosen, factor: float = 10) -> str:
    return f"lr is {chosen['lr']:g}: try lr={_round(chosen['lr'] / factor)}."


def _raise_lr(chosen: _Chosen) -> str:
    return f"lr is {chosen['lr']:g}: try lr={_round(min(10.0, chosen['lr'] * 10))}."


def _round(value: float) -> str:
    return f"{value:.1g}" if value < 1 else f"{value:g}"


def _weights(chosen: _Chosen) -> list[str]:
    """Random weights under a frozen backbone can't learn; pretrained ones start well."""
    if chosen["pretrained"] != "none":
        return []
    if chosen["freeze"] == "backbone":
        return ["pretrained=none with freeze=backbone trains a head on random features: set pretrained=imagenet."]
    return ["pretrained is none: pretrained=imagenet starts from weights that work."]


def _clip(chosen: _Chosen) -> list[str]:
    if not chosen["grad_clip"]:
        return ["grad_clip is 0: grad_clip=1 bounds the steps."]
    return [f"grad_clip is {chosen['grad_clip']:g}: try grad_clip={_round(chosen['grad_clip'] / 10)}."]


def _loss(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    found = _weights(chosen)
    if chosen["lr"] >= _LARGE_LR:
        return [_lower_lr(chosen), *found]
    if chosen["lr"] <= _SMALL_LR:
        return [_raise_lr(chosen), *found]
    low, high = _round(chosen["lr"] / 3), _round(chosen["lr"] * 3)
    found.append(f"lr is {chosen['lr']:g}: try lr={low} if the loss jumps, lr={high} if it hardly moves.")
    if chosen["batch_size"] < 16:
        found.append(f"batch_size is {chosen['batch_size']}, so that single losses are noisy: try batch_size=32.")
    return found


def _vanishing(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    found = _weights(chosen)
    if chosen["lr"] >= _LARGE_LR:
        found.append(_lower_lr(chosen) + " Too large a step can drive units where they have no gradient.")
    if not found:
        found.append("The gradient is small because the training images are learnt, or the layer gets nothing: look at "
                     "the loss, and end training earlier (patience) if it is near 0.")  # fmt: skip
    return found


def _exploding(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    found = [_lower_lr(chosen), *_clip(chosen)]
    if not chosen["warmup_ratio"]:
        found.append("warmup_ratio is 0: warmup_ratio=0.1 starts with small steps.")
    return found


def _overfit(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    tries = []
    if chosen["freeze"] == "none" and chosen["pretrained"] != "none":
        tries.append("freeze=backbone (fewer weights to train)")
    if chosen["freeze"] == "backbone" and 0 < chosen["feature_views"] < 16:
        tries.append(f"feature_views={4 * chosen['feature_views']} (it is {chosen['feature_views']})")
    if chosen["auto_augment"] == "none":
        tries.append("auto_augment=rand")
    if chosen["crop_scale"] > 0.3:
        tries.append(f"crop_scale=0.25 (it is {chosen['crop_scale']:g})")
    if not chosen["mixup"] and not chosen["cutmix"] and (chosen["freeze"] != "backbone" or not chosen["feature_views"]):
        tries.append("mixup=0.2")
    if not chosen["label_smoothing"]:
        tries.append("label_smoothing=0.1")
    found = [f"Try {', '.join(tries[:3])}."] if tries else ["More images are what helps now."]
    if not chosen["patience"]:
        found.append("patience is 0 (train to the last epoch): patience=3 ends training when nothing gets better.")
    return found


def _overtraining(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    if not chosen["patience"]:
        return [f"patience is 0: patience=3 ends training before all {chosen['epochs']} epochs when none gets better."]
    return [f"epochs is {chosen['epochs']} and patience {chosen['patience']}: lower either; the best epoch is kept."]


def _initialisation(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    found = _weights(chosen)
    if chosen["lr"] >= _LARGE_LR or chosen["lr"] <= _SMALL_LR:
        found.append(_lower_lr(chosen) if chosen["lr"] >= _LARGE_LR else _raise_lr(chosen))
    return found or ["The weights came from outside: look whether they are the right ones for this architecture."]


def _dead(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    found = [_lower_lr(chosen)]
    if not chosen["warmup_ratio"]:
        found.append("warmup_ratio is 0: warmup_ratio=0.1 starts with small steps.")
    if not chosen["grad_clip"]:
        found.append("grad_clip is 0: grad_clip=1 bounds the steps.")
    return found


def _update(verdict: Verdict, chosen: _Chosen) -> list[str]:
    values = [each.value for each in verdict.findings if each.value is not None]
    if values and max(values) > verdict.parameters["large_threshold"]:
        return [_lower_lr(chosen), *_clip(chosen)]
    if chosen["freeze"] == "gradual":
        return ["freeze=gradual trains the lower stages later: until then their weights stay."]
    if chosen["lr_schedule"] == "cosine" and chosen["lr"] > _SMALL_LR:
        return ["lr_schedule=cosine falls to 0 at the end: at the last steps small updates are as they should be."]
    return [_raise_lr(chosen)]


def _unchanged(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    if chosen["freeze"] == "backbone":
        return ["freeze=backbone trains the head alone: freeze=none or gradual trains the other layers too."]
    if chosen["freeze"] == "gradual":
        return ["freeze=gradual trains the lower stages later: until then they stay the same."]
    if chosen["backbone_lr_ratio"] < 0.1 and chosen["pretrained"] != "none":
        return [f"backbone_lr_ratio is {chosen['backbone_lr_ratio']:g}: try backbone_lr_ratio=0.1."]
    return [_raise_lr(chosen)] if chosen["lr"] <= _SMALL_LR else ["With lr_schedule=cosine the last steps hardly move."]


def _zeros(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    if chosen["freeze"] != "none":
        return [f"freeze is {chosen['freeze']}: layers that aren't trained have no gradient."]
    return [_lower_lr(chosen) + " A ReLU that died gives zeros."] if chosen["lr"] >= _LARGE_LR else []


def _variance(verdict: Verdict, chosen: _Chosen) -> list[str]:
    values = [each.value for each in verdict.findings if each.value is not None]
    if values and max(values) > verdict.parameters["max_threshold"]:
        return [_lower_lr(chosen), *_clip(chosen)]
    return _weights(chosen) or [_raise_lr(chosen)]


def _imbalance(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    if chosen["class_balance"] == "none":
        return ["class_balance is none: class_balance=sampling trains on all classes equally often."]
    return [f"class_balance is {chosen['class_balance']} already: add images to the classes that are named."]


def _inputs(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    start = "" if chosen["pretrained"] == "none" else " Pretrained weights expect such photos."
    return [
        f"Kennel normalises by ImageNet's means: these images are brighter or darker than photos mostly are.{start}"
    ]


def _confusion(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    more = f"epochs is {chosen['epochs']}: more may help. " if not chosen["patience"] else ""
    return [f"{more}The evaluation page shows the images of the confused classes."]


def _stalled(verdict: Verdict, chosen: _Chosen) -> list[str]:  # noqa: ARG001
    if chosen["workers"] != 0:
        return ["If loading hangs, workers=0 loads the images in the training process and shows the error."]
    return ["The log's last lines show what was done; a network volume that does not answer is the usual cause."]


_MAKERS: Final[Mapping[str, Callable[[Verdict, _Chosen], list[str]]]] = {
    "LossNotDecreasing": _loss,
    "VanishingGradient": _vanishing,
    "ExplodingTensor": _exploding,
    "Overfit": _overfit,
    "Overtraining": _overtraining,
    "PoorWeightInitialization": _initialisation,
    "DeadRelu": _dead,
    "SaturatedActivation": _dead,
    "WeightUpdateRatio": _update,
    "AllZero": _zeros,
    "UnchangedTensor": _unchanged,
    "TensorVariance": _variance,
    "ClassImbalance": _imbalance,
    "CheckInputImages": _inputs,
    "Confusion": _confusion,
    "StalledTrainingRule": _stalled,
}
