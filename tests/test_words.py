"""Names and words that Kennel has given up for the field's own: none of them comes back."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# A word as it stands in names, comments and texts (upper and lower case differ), and what is written instead.
RETIRED: dict[str, str] = {
    "rulebook": "rules",
    "WaitingLine": "BatchQueue",
    "hand_out": "scatter",
    "status_sent": "response_status",
    "holdings": "resources",
    "luggage": "stage_inputs",
    "Luggage": "StagedInputs",
    "travelling": "for_container",
    "made_by_sdk": "sdk_estimator",
    "ended_well": "check_completed",
    "each_done": "run_concurrently",
    "left_meanwhile": "left_behind",
    "listed_if_there": "paginate_if_exists",
    "StopSignals": "CancelOnSignals",
    "made_here": "own",
    "as_begun": "settings_of_run",
    "end_left_over": "reap_orphans",
    "trained_unnoticed": "find_unrecorded_run",
    "HttpServing": "MachineBackend",
    "tell_training": "print_training",
    "find_roles": "resolve_splits",
    "what_to_train": "model_and_loaders",
    "keep_images": "cache_images",
    "settle_classes": "name_classes",
    "hear_signals": "install_signal_handlers",
    "lend_workers": "join_search",
    "Crew": "WorkerPool",
    "must_agree": "assert_same_on_all_ranks",
    "companion": "monitor",
    "CompanionProcess": "MonitorProcess",
    "ProfileJudge": "ProfilerRuleEngine",
}
# What happened is told in the words of its time; and this list names them.
MAY_SAY_THEM = ("CHANGELOG.md", "tests/test_words.py")


def retired(text: str) -> list[str]:
    """The retired words of a text, each once and in the list's order: whole, or a part of snake_case."""
    return [word for word in RETIRED if re.search(rf"(?<![A-Za-z]){re.escape(word)}(?![A-Za-z])", text)]


def own_texts() -> list[Path]:
    """Python, Markdown, templates and scripts that git tracks, but for those that may say them."""
    kinds = (
        "*.py",
        "*.md",
        "*.html",
        "*.j2",
        "*.toml",
        "*.sh",
        "*.yaml",
        "*.yml",
        "Makefile",
        "Dockerfile",
        "train",
        "serve",
    )
    listed = subprocess.run(["git", "ls-files", "--", *kinds], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split("\n") if name and name not in MAY_SAY_THEM]


def test_no_retired_word_is_used() -> None:
    texts = own_texts()
    assert len(texts) > 300
    found = [
        f"{text.relative_to(ROOT)}: {word}; write {RETIRED[word]}"
        for text in texts
        if text.is_file()
        for word in retired(text.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("the rulebook's name", ["rulebook"]),
        ("my_rulebook = 1", ["rulebook"]),
        ("rulebooks, Rulebook", []),
        ("holdings of a rulebook", ["rulebook", "holdings"]),
    ],
)
def test_a_retired_word_is_found(text: str, found: list[str]) -> None:
    assert retired(text) == found
