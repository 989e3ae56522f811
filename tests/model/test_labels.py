"""Folder names -> names for people."""

import pytest

from model.labels import readable, readable_labels


@pytest.mark.parametrize(
    ("folder", "label"),
    [
        ("001.Affenpinscher", "Affenpinscher"),
        ("German_shepherd_dog", "German shepherd dog"),
        ("056.Dachshund", "Dachshund"),
        ("115.Petit_basset_griffon_vendeen", "Petit basset griffon vendeen"),
        ("12-beagle", "beagle"),
        ("n02085620-Chihuahua", "Chihuahua"),
        ("n02102040_English_springer", "English springer"),
        ("Curly-coated retriever", "Curly-coated retriever"),
        ("3", "3"),
        ("2019", "2019"),
        ("10_000", "10 000"),
        ("_", "_"),
        ("n02", "n02"),
        ("Großer Münsterländer", "Großer Münsterländer"),
    ],
)
def test_readable(folder: str, label: str) -> None:
    assert readable(folder) == label


def test_labels_that_would_be_the_same_keep_their_folders_names() -> None:
    names = ["001.Pug", "002.Pug", "003.Saint_Bernard", "Saint_Bernard_dog"]
    assert readable_labels(names) == ("001.Pug", "002.Pug", "Saint Bernard", "Saint Bernard dog")
