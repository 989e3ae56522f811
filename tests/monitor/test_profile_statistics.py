"""The profiler's arithmetic, worked out by hand."""

import math

import numpy as np
import pytest

from monitor.profiler.statistics import describe, outliers, percentile, plain, spans, spread, thin

NAN = math.nan


def test_percentiles_lie_between_the_two_nearest_values() -> None:
    values = np.array([10.0, 20.0, 30.0, 40.0, 50.0])
    # Position 0.95 x 4 = 3.8: between 40 and 50, 40 + 0.8 x 10.
    assert percentile(values, 95) == pytest.approx(48)
    # 0.99 x 4 = 3.96.
    assert describe(values) == pytest.approx({"max": 50, "p99": 49.6, "p95": 48, "p50": 30, "min": 10, "mean": 30})


def test_what_was_not_measured_is_left_out() -> None:
    assert describe(np.array([NAN, 4.0, NAN, 6.0])) == pytest.approx(
        {"max": 6, "p99": 5.98, "p95": 5.9, "p50": 5, "min": 4, "mean": 5}
    )
    assert describe(np.array([NAN])) is None
    assert math.isnan(percentile(np.zeros(0), 95))


def test_a_thinned_series_has_the_means_of_neighbours() -> None:
    # Seven values to at most three: groups of ceil(7 / 3) = 3.
    found = thin(np.array([1.0, 2.0, 3.0, 10.0, NAN, 20.0, 7.0]), 3)
    assert found.tolist() == [2.0, 15.0, 7.0]
    assert thin(np.array([0.0, 1.0, 2.0, 3.0]), 4).tolist() == [0, 1, 2, 3]
    long = thin(np.array(range(100_001), dtype=np.float64), 600)
    assert len(long) <= 600
    assert long[0] == pytest.approx(83)  # groups of ceil(100001 / 600) = 167: the mean of 0 to 166


def test_spread_indices_keep_both_ends() -> None:
    assert spread(3, 5).tolist() == [0, 1, 2]
    assert spread(9, 5).tolist() == [0, 2, 4, 6, 8]
    found = spread(5000, 2000)
    assert (len(found), found[0], found[-1]) == (2000, 0, 4999)


def test_outliers_are_above_the_mean_by_so_many_deviations() -> None:
    # 99 ones and one 11: mean 1.1; variance 0.99 x 0.1^2 + 0.01 x 9.9^2 = 0.99; 1.1 + 5 x 0.99499 = 6.075.
    seconds = np.array([1.0] * 99 + [11.0])
    judged = np.ones(100, dtype=np.bool_)
    found, limit = outliers(seconds, judged, 5)
    assert found.tolist() == [99]
    assert limit == pytest.approx(6.0749, abs=1e-3)
    # The same as 10 values: no one can be above 5 deviations, for sqrt(9) = 3.
    found, _ = outliers(np.array([1.0] * 9 + [1e6]), np.ones(10, dtype=np.bool_), 5)
    assert found.tolist() == []
    judged[99] = False
    assert outliers(seconds, judged, 5)[0].tolist() == []


def test_spans_forgive_short_interruptions() -> None:
    held = np.array([1, 1, 0, 1, 0, 0, 0, 1], dtype=np.bool_)
    assert spans(held) == [(0, 1), (3, 3), (7, 7)]
    assert spans(held, gap=1) == [(0, 3), (7, 7)]
    assert spans(held, gap=3) == [(0, 7)]
    assert spans(np.zeros(3, dtype=np.bool_)) == []


def test_json_gets_no_nan() -> None:
    value = {"a": NAN, "b": [math.inf, np.float64(1 / 3)], "c": np.array([1.5, NAN]), 1: (True, 2, "x", None)}
    assert plain(value, 3) == {"a": None, "b": [None, 0.333], "c": [1.5, None], "1": [True, 2, "x", None]}
