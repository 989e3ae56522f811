"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all.

`serving` and `startup` take options, see their `--help`.
"""

import importlib
import itertools
import sys
from collections.abc import Sequence
from typing import Final

BENCHMARKS: Final = {
    "debugger": "training steps with debug=on and debug=off: what saving tensors costs",
    "decoding": "JPEG bytes -> network input: Kennel's path against plain Pillow",
    "forms": "OpenVINO's and int8 forms: seconds to make them, and float32 against float16 weights",
    "insight": "from a bad configuration to a good one by what the reports advise (ten minutes)",
    "profiler": "what profiling costs: step times with and without, a sample, a step, a recording",
    "recipe": "what each part of the training recipe is worth (half an hour)",
    "serving": "requests a second: Kennel, the tutorial's server and others (25 minutes; 6 GB the first time)",
    "startup": "CPU time and memory that starting takes: train, serve and deploy.py (ten minutes)",
    "training_step": "one optimizer step: memory layouts, and what freezing the backbone saves",
    "transform": "a batch transform's images a second against decoding and engine in a loop (three minutes)",
    "tuning": "a search in one job against one training and against separate trainings (half an hour)",
}


WITH_OPTIONS: Final = ("serving", "startup")


def main(words: Sequence[str]) -> int:
    """Run them in order; returns the exit code."""
    names = list(itertools.takewhile(lambda word: not word.startswith("-"), words))
    options = words[len(names) :]
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    if options and not (len(names) == 1 and names[0] in WITH_OPTIONS):
        print(f"options come after one name, and only {' and '.join(WITH_OPTIONS)} take any", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"== {name}: {BENCHMARKS[name]}")
        benchmark = importlib.import_module(f"benchmarks.{name}")
        benchmark.main(*([options] if options else []))
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
