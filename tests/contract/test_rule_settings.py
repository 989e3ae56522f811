"""Settings are read out of the advice that people read."""

import pytest

from contract.rules.verdict import settings_in

CHOSEN = {"lr": 0.5, "batch_size": 4, "cache": "none", "workers": 0, "freeze": "backbone", "patience": 0}


@pytest.mark.parametrize(
    ("advice", "settings"),
    [
        ("lr is 0.5: try lr=0.05.", {"lr": "0.05"}),
        ("Set cache=memory (decoded images stay in memory) or workers=1.", {"cache": "memory"}),
        ("Try lr=0.05. patience is 0: patience=3 ends training.", {"lr": "0.05", "patience": "3"}),
        ("Try lr=0.05. Or lr=0.005.", {"lr": "0.05"}),
        ("freeze=backbone trains the head alone: freeze=none trains the other layers too.", {"freeze": "none"}),
        ("batch_size=4 is few; lr=0.50 is what you have.", {}),
        ("colour=red is no hyperparameter.", {}),
        ("Look at the images.", {}),
        ("Set lr=1e-05.", {"lr": "1e-05"}),
    ],
)
def test_the_first_new_setting_of_each_sentence_counts(advice: str, settings: dict[str, str]) -> None:
    assert settings_in(advice, CHOSEN) == settings
