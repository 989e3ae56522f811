import pytest

from serve.media_types import CSV, JSON_LINES, LIST, NPY, PREDICTIONS, PROBABILITIES, ResponseFormat, negotiate


@pytest.mark.parametrize(
    ("accept", "chosen"),
    [
        (None, PREDICTIONS),
        ("", PREDICTIONS),
        ("*/*", PREDICTIONS),
        ("*", PREDICTIONS),
        ("application/*", PREDICTIONS),
        ("text/*", CSV),
        ("application/json", PREDICTIONS),
        ("application/json; charset=utf-8", PREDICTIONS),
        ("application/json;format=probabilities", PROBABILITIES),
        ('application/json; format="Probabilities"', PROBABILITIES),
        ("Text/CSV", CSV),
        ("text/csv;header=absent", CSV),
        ("text/csv;q=0.5, application/json;q=0.4", CSV),
        ("text/csv;q=0.5, application/json", PREDICTIONS),
        ("text/csv, application/json", CSV),
        ("application/json, text/csv", PREDICTIONS),
        ("*/*, text/csv", CSV),
        ("application/json;q=0, */*", CSV),
        ("application/json;format=predictions;q=0, application/json", PROBABILITIES),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8", PREDICTIONS),
        ("application/json;format=list", LIST),
        ("application/json;format=list;q=0.5, application/json;format=probabilities;q=0.4", LIST),
        ("application/jsonlines", JSON_LINES),
        ("application/x-ndjson", JSON_LINES),
        ("application/x-npy, application/json;q=0.9", NPY),
        ("text/csv;q=2", CSV),
        ("text/csv;q=nonsense", None),
        ("text/csv;q=0", None),
        ("image/png", None),
        ("application/json;format=xml", None),
        ("garbage", None),
        (",;=,", None),
    ],
)
def test_negotiation(accept: str | None, chosen: ResponseFormat | None) -> None:
    assert negotiate(accept) == chosen


def test_default_counts_only_where_the_choice_is_open() -> None:
    for accept in (None, "*/*", "application/xml, */*;q=0.1"):
        assert negotiate(accept, CSV) == CSV
    assert negotiate("application/*", PROBABILITIES) == PROBABILITIES
    assert negotiate("application/json", PROBABILITIES) == PREDICTIONS
    assert negotiate("application/json", CSV) == PREDICTIONS
