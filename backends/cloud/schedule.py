"""The times at which the limits of autoscaling change: CRON=MIN:MAX, as in 0 7 ? * MON-FRI *=2:4."""

import re
from dataclasses import dataclass
from typing import Final

from backends.settings.sections import Deploy

_ENTRY: Final = re.compile(r"(?P<cron>\S+(?: \S+){5})=(?P<low>\d{1,4}):(?P<high>\d{1,4})")
_FORM: Final = "CRON=MIN:MAX with the six fields of AWS's cron, as in 0 7 ? * MON-FRI *=2:4"


@dataclass(frozen=True)
class Change:
    """From a time on there are `low` to `high` instances. cron: minute, hour, day, month, weekday, year; UTC."""

    cron: str
    low: int
    high: int


def changes(chosen: Deploy) -> list[Change]:
    """The schedule of settings that `schedule_faults` finds none in."""
    found = [_ENTRY.fullmatch(" ".join(text.split())) for text in chosen.schedule]
    return [Change(each["cron"], int(each["low"]), int(each["high"])) for each in found if each]


def schedule_faults(chosen: Deploy) -> list[str]:
    """Everything that is wrong with the schedule, a sentence each."""
    if chosen.schedule and not chosen.max_instances:
        return ["schedule changes the limits of autoscaling, which is off; set max_instances"]
    faults = [f"schedule must be {_FORM}, got {text!r}" for text in chosen.schedule
              if not _ENTRY.fullmatch(" ".join(text.split()))]  # fmt: skip
    least = 0 if chosen.kind == "async" else 1
    faults += [
        f"schedule: {each.low}:{each.high} at {each.cron} must have a MIN of {least} or more that isn't above its MAX"
        for each in changes(chosen)
        if not least <= each.low <= each.high
    ]
    return faults
