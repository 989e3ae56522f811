"""`python -m serve.predict --artifact DIR FILE...`: predictions for image files, without a server.

One line of JSON a file, in order: {"file", "predictions": [{"label", "index", "probability"}, ...]}, or
{"file", "error"}. Exit codes: 0; 1 when a file failed; 2 when the artifact can't be used.
"""

import argparse
import logging
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from contract.command import run_command
from contract.errors import ImageError
from model.artifact import Artifact
from model.machine import available_cpus
from serve import codec
from serve.engines import registry
from serve.engines.base import DEVICES, ENGINE_FORMS, PRECISIONS, EngineOptions, UInt8Array
from serve.model_host import Model, predict_checked


def main() -> None:
    """Answer; exits with 1 when a file failed."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")
    arguments = _arguments()
    artifact = Artifact.read(arguments.artifact)
    options = EngineOptions(arguments.device, available_cpus(), arguments.precision, arguments.form)
    model = Model(artifact, registry.find(arguments.engine)(artifact, options))
    failed = False
    for answer in predict_files(model, arguments.files, arguments.top_k):
        failed |= "error" in answer
        print(codec.dump_json(answer).decode().rstrip("\n") if arguments.json else _for_people(answer))
    if failed:
        sys.exit(1)


def predict_files(model: Model, files: Sequence[Path], top_k: int) -> Iterator[dict[str, Any]]:
    """For each file, in order, its `top_k` best predictions or its error.

    The next files are decoded while the engine works, and it gets as many batches at once as it allows.
    """
    cpus, size, concurrency = available_cpus(), model.engine.max_batch, model.engine.max_concurrency
    # Enough that neither decoding nor the engine waits for the other; a decoded image is 150 KB.
    ahead = 2 * concurrency + -(-2 * cpus // size)
    decoders, engine = ThreadPoolExecutor(cpus), ThreadPoolExecutor(concurrency)
    under_way: deque[Future[list[dict[str, Any]]]] = deque()
    try:
        for start in range(0, len(files), size):
            chunk = files[start : start + size]
            inputs = [decoders.submit(_load, file, model.artifact) for file in chunk]
            under_way.append(engine.submit(_answer, model, chunk, inputs, top_k))
            if len(under_way) > ahead:
                yield from under_way.popleft().result()
        while under_way:
            yield from under_way.popleft().result()
    finally:
        engine.shutdown(cancel_futures=True)
        decoders.shutdown(cancel_futures=True)


def _answer(
    model: Model, files: Sequence[Path], inputs: "Sequence[Future[UInt8Array | str]]", top_k: int
) -> list[dict[str, Any]]:
    loaded = [future.result() for future in inputs]
    good = [pixels for pixels in loaded if not isinstance(pixels, str)]
    rows = iter(predict_checked(model, np.stack(good)) if good else ())
    return [
        {"file": str(file), "error": pixels}
        if isinstance(pixels, str)
        else {"file": str(file), "predictions": codec.top_predictions(next(rows), model.artifact, top_k)}
        for file, pixels in zip(files, loaded, strict=True)
    ]


def _load(file: Path, artifact: Artifact) -> UInt8Array | str:
    """The network's input, or the reason why the file has none."""
    try:
        return codec.decode(file.read_bytes(), artifact.preprocess)
    except ImageError as error:
        return str(error)
    except OSError as error:
        return f"the file can't be read ({error.strerror})"


def _for_people(answer: dict[str, Any]) -> str:
    if "error" in answer:
        return f"{answer['file']}: error: {answer['error']}"
    predictions = ", ".join(f"{best['label']} {best['probability']:.1%}" for best in answer["predictions"])
    return f"{answer['file']}: {predictions}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m serve.predict", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--artifact", type=Path, required=True, metavar="DIR", help="folder that train wrote")
    lines = parser.add_mutually_exclusive_group()
    lines.add_argument("--json", action="store_true", default=True, help="a line of JSON a file (the default)")
    lines.add_argument("--text", action="store_false", dest="json", help="a line for people a file")
    parser.add_argument(
        "--top-k", type=_count, default=codec.TOP_K, metavar="K", help="how many of the best classes to print (5)"
    )
    parser.add_argument("--engine", default=registry.AUTO, help=f"one of {', '.join(registry.ENGINES)}")
    parser.add_argument("--device", choices=DEVICES, default="auto")
    parser.add_argument("--form", choices=ENGINE_FORMS, default="auto", help="which of the artifact's networks")
    parser.add_argument("--precision", choices=PRECISIONS, default="auto")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE")
    return parser.parse_args()


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer above 0, got {text!r}")
    return int(text)


if __name__ == "__main__":
    run_command(main, more_memory="use a machine with more, or --device cpu where it was a GPU's")
