"""`python -m benchmarks [NAME ...]`: run the named benchmarks, or all."""

import importlib
import sys
from typing import Final

BENCHMARKS: Final = {
    "debugger": "training steps with debug=on and debug=off: what saving tensors costs",
    "decoding": "JPEG bytes -> network input: Kennel's path against plain Pillow",
    "forms": "OpenVINO's and int8 forms: seconds to make them, and float32 against float16 weights",
    "insight": "from a bad configuration to a good one by what the reports advise (ten minutes)",
    "profiler": "what profiling costs: step times with and without, a sample, a step, a recording",
    "recipe": "what each part of the training recipe is worth (half an hour)",
    "training_step": "one optimizer step: memory layouts, and what freezing the backbone saves",
    "tuning": "a search in one job against one training and against separate trainings (half an hour)",
}


def main(names: list[str]) -> int:
    """Run them in order; returns the exit code."""
    if unknown := [name for name in names if name not in BENCHMARKS]:
        print(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(BENCHMARKS)}", file=sys.stderr)
        return 2
    for name in names or BENCHMARKS:
        print(f"== {name}: {BENCHMARKS[name]}")
        importlib.import_module(f"benchmarks.{name}").main()
        print()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
