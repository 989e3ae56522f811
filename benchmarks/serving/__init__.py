"""Kennel against the tutorial's server and others: the same weights and photos, over HTTP, on this machine."""

from collections.abc import Sequence


def main(words: Sequence[str] = ()) -> None:
    """Run it with these words of the command line."""
    # Here, because every peer imports this package, in an environment with nothing that the benchmark needs.
    from benchmarks.serving.command import main as run

    run(words)
