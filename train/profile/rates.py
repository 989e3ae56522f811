"""Bytes a second over disks and networks, from the system's counters."""

import time
from collections.abc import Callable, Sequence

import psutil


class Rates:
    """How fast counters rise. missing: why there are none, once they could not be read."""

    def __init__(self, names: Sequence[str], read: Callable[[], Sequence[int]]) -> None:
        self.names = names
        self.missing: str | None = None
        self._read = read
        self._last = self._values()

    def _values(self) -> tuple[float, Sequence[int]] | None:
        try:
            return time.monotonic(), self._read()
        except Exception as error:  # noqa: BLE001 - psutil raises NotImplementedError, OSError, ValueError and more
            self.missing = str(error) or type(error).__name__
            return None

    def sample(self) -> dict[str, float | None]:
        """By name, a second, since the last sample; None where one of the two readings failed."""
        last, self._last = self._last, self._values()
        if last is None or self._last is None or self._last[0] <= last[0]:
            return dict.fromkeys(self.names)
        seconds = self._last[0] - last[0]
        # A device that was taken away takes its bytes along.
        rises = (max(0, new - old) for old, new in zip(last[1], self._last[1], strict=True))
        return {name: round(rise / seconds, 1) for name, rise in zip(self.names, rises, strict=True)}


def disk_rates() -> Rates:
    """Of all disks together."""
    return Rates(("disk_read", "disk_write"), _disks)


def network_rates() -> Rates:
    """Of all interfaces together, but for the loopback: what processes here tell each other is no traffic."""
    return Rates(("net_received", "net_sent"), _networks)


def _disks() -> tuple[int, int]:
    # None on a machine without disks.
    counters = psutil.disk_io_counters()
    if counters is None:
        raise OSError("the system counts none")
    return counters.read_bytes, counters.write_bytes


def _networks() -> tuple[int, int]:
    counters = [each for name, each in psutil.net_io_counters(pernic=True).items() if not name.startswith("lo")]
    return sum(each.bytes_recv for each in counters), sum(each.bytes_sent for each in counters)
