"""How a run ended, in words."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

_STOPPED: Final = re.compile(r"\bstop(s|ped)?\b|\bSIGTERM\b|\bSIGINT\b|signal (2|15)\b", re.IGNORECASE)
_KILLED: Final = re.compile(r"\bkill(ed)?\b|\bSIGKILL\b|signal 9\b|\bout of memory\b", re.IGNORECASE)
_MISSING: Final = "It ended without saying why: it was killed, or the machine failed."


@dataclass(frozen=True)
class Outcome:
    """word: completed, stopped, failed, killed or unknown. sign: for who can't tell colours apart. told: a sentence."""

    word: str
    sign: str
    told: str

    @property
    def bad(self) -> bool:
        """Whether something went wrong."""
        return self.word in ("failed", "killed")


def outcome_of(completed: bool | None, reason: Any) -> Outcome:
    """completed: None when nothing is known of it. reason: why it ended before its time."""
    told = _sentence(reason)
    if completed:
        return Outcome("stopped", "\u25a0", told) if told else Outcome("completed", "\u2713", "")
    if completed is None and not told:
        return Outcome("unknown", "?", "How the run ended isn\u2019t known: only what it wrote was judged.")
    if not told or _KILLED.search(told):
        return Outcome("killed", "\u2716", told or _MISSING)
    if _STOPPED.search(told):
        return Outcome("stopped", "\u25a0", told)
    return Outcome("failed", "\u2716", told)


def _sentence(reason: Any) -> str:
    """The reason's first paragraph, with a full stop."""
    words = str(reason or "").strip().split("\n\n")[0].strip()
    return words if not words or words.endswith((".", "!", "?")) else f"{words}."


def of_document(document: Mapping[str, Any], key: str) -> Outcome:
    """The outcome under `key` of a report."""
    given = document.get(key) or {}
    return outcome_of(given.get("completed"), given.get("reason"))
