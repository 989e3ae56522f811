"""Decodes every image once before training, so that none is a surprise in the middle of it."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Final

from contract.errors import ImageError
from contract.progress import Progress
from model.machine import available_cpus
from model.preprocess import decode
from train.data.sources import FileSource, Source

# 100 megapixels, the most that are decoded, are 400 MB uncompressed with transparency.
MAX_BYTES: Final = 512 * 2**20


def check_images(sources: Sequence[Source], progress: Progress) -> list[str | None]:
    """Why each image can't be used; None where it can. Pillow decodes outside Python's lock, so threads do."""
    reasons: list[str | None] = []
    with ThreadPoolExecutor(available_cpus()) as pool:
        for reason in pool.map(_fault, sources):
            reasons.append(reason)
            progress.update("checking images", len(reasons), len(sources), "images")
    return reasons


def _fault(source: Source) -> str | None:
    try:
        if source.size == 0:
            return "empty file"
        # A file is read as far as the decoder asks; an archive's entry is read whole.
        if source.size > MAX_BYTES and not isinstance(source, FileSource):
            return f"larger than {MAX_BYTES // 2**20} MiB"
        # Smallest scale: truncation and corruption show all the same, at a fraction of the cost.
        decode(source.encoded(), min_size=8)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"can't be read ({error.strerror})"
    return None
