"""Class folder names -> names fit for people."""

import re
from collections import Counter
from collections.abc import Sequence

# 001.Affenpinscher, 12-beagle, 3_pug: an order number, which needs something that is no digit after it.
_ORDER = re.compile(r"^\d+[._\-\s]+(?=\D)")
# n02085620-Chihuahua: a WordNet synset, as in ImageNet and Stanford Dogs.
_SYNSET = re.compile(r"^n\d{8}[._\-\s]+(?=\S)")


def readable(class_name: str) -> str:
    """`001.Affenpinscher` -> `Affenpinscher`, `German_shepherd_dog` -> `German shepherd dog`."""
    text = _SYNSET.sub("", _ORDER.sub("", class_name))
    return re.sub(r"[_\s]+", " ", text).strip() or class_name


def readable_labels(class_names: Sequence[str]) -> tuple[str, ...]:
    """The readable names in the same order; where two would be the same, both keep their folder's name."""
    names = [readable(name) for name in class_names]
    count = Counter(names)
    return tuple(name if count[name] == 1 else raw for name, raw in zip(names, class_names, strict=True))
