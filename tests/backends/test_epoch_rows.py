"""The epochs of a running trial, read while they are written; and the cancellation that ends it."""

import os
import signal
from pathlib import Path

from backends.cancel import CancelOnSignals, CancelToken
from backends.search.trial import EpochRows


def test_every_row_comes_once_in_order_and_whole(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    rows = EpochRows(file)
    assert list(rows.read()) == []
    file.write_text('{"epoch": 1, "validation_loss": 0.5}\n{"epoch": 2, "validation_loss": null}\n{"epoch": 3, "valid')
    assert list(rows.read()) == [{"epoch": 1, "validation_loss": 0.5}, {"epoch": 2}]
    with file.open("a") as more:
        more.write('ation_loss": 0.25}\n{"test_loss": 0.7}\n{"epoch": 4, "validation_loss": 0.125}\n')
    assert list(rows.read()) == [{"epoch": 3, "validation_loss": 0.25}, {"epoch": 4, "validation_loss": 0.125}]
    assert list(rows.read()) == []


def test_a_cancellation_reaches_children_and_not_the_parent() -> None:
    parent = CancelToken()
    one, other = CancelToken(parent), CancelToken(parent)
    one.request()
    assert (one.requested, other.requested, parent.requested) == (True, False, False)
    parent.request()
    assert (other.requested, other.own, one.own) == (True, False, True)


def test_signals_cancel_within_the_block_only() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with CancelOnSignals() as cancel:
        seen = [cancel.requested]
        os.kill(os.getpid(), signal.SIGTERM)
        seen.append(cancel.requested)
    assert seen == [False, True]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
