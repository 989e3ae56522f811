"""Figures with their units, and short texts, as all pages write them."""

import math
from datetime import UTC, datetime
from typing import Any, Final

NOTHING: Final = "\u2013"  # an en dash: there is no such figure
_MINUS: Final = "\u2212"
_INFINITE: Final = "\u221e"
_NARROW: Final = "\u00a0"  # between a figure and its unit: they stay on one line
_SIZES: Final = ("B", "KiB", "MiB", "GiB", "TiB")
_PER_SECOND: Final = "/s"


def real(value: Any) -> float | None:
    """A figure of a document as a float; None where there is none. JSON has no NaN: it comes as the text "nan"."""
    if value is None or isinstance(value, bool):
        return None
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def percent(share: float | None, digits: int = 1) -> str:
    """0.8123 -> `81.2 %`; a dash for None. Never 100.0 % for less than all, nor 0.0 % for more than nothing."""
    if share is None:
        return NOTHING
    text = f"{100 * share:.{digits}f}"
    least = 10.0**-digits
    if share < 1 and float(text) == 100:
        text = f"> {100 - least:.{digits}f}"
    elif share > 0 and float(text) == 0:
        text = f"< {least:.{digits}f}"
    return f"{text}{_NARROW}%"


def points(difference: float | None) -> str:
    """A difference of shares in percentage points, with its sign: `+3.5`, a true minus, `0`; a dash for None."""
    if difference is None:
        return NOTHING
    text = f"{100 * abs(difference):.1f}"
    if float(text) == 0:
        return "0"
    return ("+" if difference > 0 else _MINUS) + text


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 image`, `12,345 images`; `plural` where an s isn't enough."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def shortened(name: str, most: int) -> str:
    """A name of at most `most` (2 or more) characters: what is too long loses its middle."""
    if len(name) <= most:
        return name
    tail = max((most - 1) * 2 // 3, 1)
    return f"{name[: most - 1 - tail]}\u2026{name[-tail:]}"


def sentence(words: str, most: int = 10_000) -> str:
    """The words with a full stop, on one line; of more than `most` characters the first ones and an ellipsis."""
    words = " ".join(words.split())
    words = words if len(words) <= most else words[: most - 1] + "\u2026"
    return words if not words or words.endswith((".", "!", "?", "\u2026")) else f"{words}."


def figure(value: Any, digits: int = 3) -> str:
    """`digits` significant digits: `0.0123`, `1.2e-5`, `NaN`, an infinity's sign; a dash for None."""
    number = real(value)
    if number is None:
        return NOTHING
    if math.isnan(number):
        return "NaN"
    sign = _MINUS if number < 0 else ""
    number = abs(number)
    if math.isinf(number):
        return sign + _INFINITE
    text = f"{number:.{digits}g}"
    if "e" not in text and (number == 0 or number >= 1e-3):
        return sign + text
    mantissa, power = f"{number:.{digits - 1}e}".split("e")
    if number and -3 <= int(power) < digits + 2:
        return sign + f"{number:,.0f}" if number >= 1 else sign + text
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    return f"{sign}{mantissa}e{int(power)}".replace("e-", f"e{_MINUS}")


def seconds(value: Any) -> str:
    """`0.42 ms`, `85 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`; a dash for None."""
    number = real(value)
    if number is None or not math.isfinite(number):
        return figure(number)
    if 0 < abs(number) < 0.9995:
        return f"{figure(1000 * number)}{_NARROW}ms"
    if round(abs(number), 1) < 60:
        return f"{number:.{1 if number % 1 else 0}f}{_NARROW}s"
    whole = round(number)
    if whole < 3600:
        return f"{whole // 60}{_NARROW}min{_NARROW}{whole % 60:02d}{_NARROW}s"
    minutes = round(whole / 60)
    return f"{minutes // 60}{_NARROW}h{_NARROW}{minutes % 60:02d}{_NARROW}min"


def size(value: Any) -> str:
    """Bytes: `512 B`, `3.2 MiB`, `15.6 GiB`; a dash for None."""
    number = real(value)
    if number is None or not math.isfinite(number):
        return figure(number)
    factor, name = scale_of(number)
    return f"{figure(number / factor)}{_NARROW}{name}"


def scale_of(most: float) -> tuple[float, str]:
    """The unit in which bytes up to `most` are easily read: how many bytes it has, and its name."""
    power = 0
    while abs(most) >= 1024 * 0.9995 and power < len(_SIZES) - 1:
        most /= 1024
        power += 1
    return 1024.0**power, _SIZES[power]


def in_unit(value: Any, unit: str) -> str:
    """A figure in a document's unit: percent, bytes, bytes/s, seconds, or any other word."""
    number = real(value)
    if number is None:
        return NOTHING
    if is_percent(unit):
        return f"{number:.1f}{_NARROW}%" if math.isfinite(number) else figure(number)
    if is_bytes(unit):
        return size(number) + (_PER_SECOND if per_second(unit) else "")
    if unit in ("s", "seconds"):
        return seconds(number)
    return f"{figure(number)}{_NARROW}{unit}".rstrip()


def is_percent(unit: str) -> bool:
    """Whether a document's unit is percent."""
    return unit.strip().lower() in ("%", "percent")


def is_bytes(unit: str) -> bool:
    """Whether it is bytes, or bytes a second."""
    return unit.strip().lower().removesuffix(_PER_SECOND) in ("b", "bytes")


def per_second(unit: str) -> bool:
    """Whether it is a rate."""
    return unit.strip().lower().endswith(_PER_SECOND)


def clock(value: Any) -> str:
    """Seconds since the epoch as a date and time, UTC; a dash for None."""
    number = real(value)
    if number is None or not 0 <= number < 2e11:
        return NOTHING
    return datetime.fromtimestamp(number, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
