"""`python -m train.model_card --artifact DIR` prints the model card of any artifact."""

import argparse
import sys
from pathlib import Path

from contract.command import run_command
from reports.model_card import read_card


def main() -> None:
    """Print the card. Raises ArtifactError."""
    parser = argparse.ArgumentParser(prog="python -m train.model_card", description=__doc__)
    parser.add_argument("--artifact", type=Path, required=True, help="folder that train wrote")
    print(read_card(parser.parse_args().artifact), end="")


if __name__ == "__main__":
    sys.exit(run_command(main))
