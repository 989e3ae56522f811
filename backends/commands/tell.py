"""What commands say at their end."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from backends.runs import Run


def tell_training(run: "Run") -> None:
    """What a training found, its rules' table, where its pages and its artifact are."""
    from backends.console import say
    from backends.jobs import describe
    from backends.reports import pages, print_rules, run_documents
    from backends.search.results import print_found

    print_found(run)
    print_rules(run_documents(run))
    for what, page in pages(run.ml):
        say(f"{what:<10}  {page}")
    say(f"{run.name}: {describe(run)}")
    say(str(run.artifact))
