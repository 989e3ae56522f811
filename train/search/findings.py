"""Sentences about a search as a whole. Standard library only."""

from collections.abc import Sequence

from train.search.pruning import pruning_note
from train.search.record import Record
from train.search.settings import SearchSettings, base_values


def notes_of(settings: SearchSettings) -> list[str]:
    """What a reader of the results should know of how they came about."""
    notes = []
    if note := pruning_note(settings):
        notes.append(note)
    base = base_values(settings)
    if not settings.space.contains(base):
        parameters = settings.space.parameters
        outside = [f"{each.name} {base[each.name]}" for each in parameters if not each.contains(base[each.name])]
        notes.append(f"the base configuration was not tried, as it is outside the space: {', '.join(outside)}")
    return notes


def failure_of(finished: Sequence[Record], reason: str | None) -> str:
    """A sentence for a search that has no best trial. reason: why it ended."""
    if not finished:
        return "the search ended before any trial did" + (f": {reason}" if reason else "")
    reasons = [each.reason for each in finished if each.reason]
    first = f"; the first one: {reasons[0]}" if reasons else ""
    if len(reasons) < len(finished):
        return f"none of {len(finished)} trials was trained to its end, {len(reasons)} failed{first}"
    return f"all {len(finished)} trials failed{first}" if len(finished) > 1 else f"the only trial failed: {reasons[0]}"
