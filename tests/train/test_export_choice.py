"""int8 may lose half a percentage point of validation accuracy, and not one image more."""

import pytest

from model.forms import may_replace, points_lost
from train.export.step import choose_default


@pytest.mark.parametrize(
    ("reference", "int8", "n", "allowed"),
    [
        (181, 180, 200, True),  # 1 of 200 is 0.5 points exactly; 0.905 - 0.9 is 0.0050000000000000044 in floats
        (181, 179, 200, False),
        (199, 198, 199, False),  # 1 of 199 is 0.5025 points
        (120, 119, 120, False),  # with fewer than 200 images it may lose none
        (120, 120, 120, True),
        (100, 101, 120, True),  # it may be better
        (900, 895, 1000, True),
        (900, 894, 1000, False),
        (0, 0, 7, True),
        (1, 0, 1, False),
    ],
)
def test_the_limit(reference: int, int8: int, n: int, allowed: bool) -> None:
    assert may_replace(reference, int8, n) is allowed
    assert choose_default(reference, int8, n) == ("openvino-int8" if allowed else "openvino")


def test_without_int8() -> None:
    assert choose_default(100, None, 100) == "openvino"


def test_points() -> None:
    assert points_lost(181, 180, 200) * 2 == 1
    assert points_lost(10, 11, 50) == -2
