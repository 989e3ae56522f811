"""A stratified validation split, for data that comes without validation images."""

from collections import defaultdict
from dataclasses import replace

import numpy as np

from contract.errors import DataError
from train.data.dataset import DataSet, Sample, Split


def ensure_validation(data: DataSet, fraction: float, seed: int) -> DataSet:
    """The data as it is when it has validation images; else with `fraction` of every class moved there.

    At least one image of a class goes to validation and at least one stays; a class of one image stays whole.
    The choice depends on the seed and the classes alone. Raises DataError when no class has two images.
    """
    if "valid" in data.splits:
        return data
    train = data.splits["train"]
    by_class: dict[int, list[Sample]] = defaultdict(list)
    for sample in train.samples:
        by_class[sample.label].append(sample)
    chosen: set[Sample] = set()
    for label, samples in sorted(by_class.items()):
        count = min(max(1, round(fraction * len(samples))), len(samples) - 1)
        order = np.random.default_rng((seed, label)).permutation(len(samples))
        chosen.update(samples[i] for i in order[:count])
    if not chosen:
        raise DataError("no class has two training images, so none can be set apart for validation; add images")
    kept = Split("train", tuple(s for s in train.samples if s not in chosen), train.where)
    valid = Split("valid", tuple(s for s in train.samples if s in chosen), train.where)
    note = (
        f"no validation data was given: {len(valid.samples)} of {len(train.samples)} training images were "
        f"set apart, stratified by class, seed {seed}"
    )
    return replace(data, splits={**data.splits, "train": kept, "valid": valid}, notes=(*data.notes, note))
