"""Start of `make setup`, which any Python can read: for one that does not suit it prints one sentence."""

import sys

if __name__ == "__main__":
    version = ".".join(str(part) for part in sys.version_info[:2])
    if version not in ("3.11", "3.12", "3.13"):
        sys.exit(
            "make setup: Kennel needs Python 3.11 (3.12 and 3.13 are accepted), but "
            + sys.executable
            + " is "
            + version
            + ": install Python 3.11, or name it: make setup PYTHON=/path/to/python3.11"
        )
    from tools.environment import main

    sys.exit(main())
