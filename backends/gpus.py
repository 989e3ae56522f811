"""The NVIDIA GPUs of this machine, by the driver's own command."""

import os
import re
import shutil
import subprocess

_LIMIT_S = 30


def gpu_uuids() -> list[str]:
    """UUIDs, of a divided GPU those of its parts; none without the driver. CUDA_VISIBLE_DEVICES limits them."""
    command = shutil.which("nvidia-smi")
    if command is None:
        return []
    try:
        answer = subprocess.run([command, "-L"], capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    return visible_uuids(answer.stdout, visible) if answer.returncode == 0 else []


def visible_uuids(listing: str, visible: str | None) -> list[str]:
    """The UUIDs in what `nvidia-smi -L` printed, limited as CUDA does: by indices or by UUIDs, up to the first
    that isn't there.
    """
    cards: list[list[str]] = []
    for line in listing.splitlines():
        found = re.search(r"UUID: ([\w-]+)", line)
        if found and line.startswith("GPU"):
            cards.append([found[1]])
        elif found and cards:
            # What a card is divided into can be used, and the card as a whole no more.
            cards[-1] = [each for each in cards[-1] if each.startswith("MIG-")] + [found[1]]
    if visible is None:
        return [uuid for card in cards for uuid in card]
    chosen: list[str] = []
    for word in (part.strip() for part in visible.split(",")):
        if word.isdecimal() and int(word) < len(cards):
            chosen += cards[int(word)]
        elif word and (uuid := next((each for card in cards for each in card if each.startswith(word)), None)):
            chosen.append(uuid)
        else:
            break
    return chosen
