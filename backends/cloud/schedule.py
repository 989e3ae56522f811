"""The times at which the limits of autoscaling change: CRON=MIN:MAX, as in 0 7 ? * MON-FRI *=2:4."""

from dataclasses import dataclass

from backends.settings.sections import Deploy


@dataclass(frozen=True)
class Change:
    """From a time on there are `low` to `high` instances. cron: minute, hour, day, month, weekday, year; UTC."""

    cron: str
    low: int
    high: int


def changes(chosen: Deploy) -> list[Change]:
    """The schedule of settings that have been checked."""
    found = []
    for text in chosen.schedule:
        cron, _, limits = text.rpartition("=")
        low, _, high = limits.partition(":")
        found.append(Change(cron, int(low), int(high)))
    return found
