"""comparison.html: what changed from one artifact to another."""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from contract.files import write_atomic
from reports.charts.evaluation import difference
from reports.page import render
from reports.pictures import Pictures

FILES: Final = 24


def write_comparison_page(page: Path, report: Mapping[str, Any], read: Callable[[str], bytes | Path]) -> None:
    """Write the page of a comparison report; `read` gives an image by its name there."""
    write_atomic(page, comparison_page(report, Pictures(read)))


def comparison_page(report: Mapping[str, Any], picture: Callable[[str], str | None]) -> bytes:
    """The page as UTF-8 HTML. picture: a file's name -> its thumbnail as a data URI, or None."""
    rows = sorted(report["per_class"], key=lambda row: row["change"] or 0.0)
    low, high = report["difference_interval"]
    return render(
        "comparison.html",
        report=report,
        difference=difference(low, report["difference"], high),
        rows=[row for row in rows if row["change"]] + [row for row in rows if not row["change"]],
        fixed=_tiles(report["fixed"], picture),
        broken=_tiles(report["broken"], picture),
    )


def _tiles(rows: Sequence[Mapping[str, Any]], picture: Callable[[str], str | None]) -> list[dict[str, Any]]:
    return [
        {**row, "source": picture(row["file"]), "alt": f"Image of {row['true_label']}: {row['file']}"}
        for row in rows[:FILES]
    ]
