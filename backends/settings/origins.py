"""Where the settings come from, in words."""

from backends.settings.read import Reading


def described(reading: Reading) -> str:
    """As in: 3 set: kennel.toml (on, region), KENNEL_TRAIN_SPOT, -o (deploy.kind)."""
    places: dict[str, list[str]] = {}
    for name, origin in reading.origins.items():
        places.setdefault(origin, []).append(str(name))
    if not places:
        return "the defaults"
    # A variable, or an option such as --on, says itself what it sets.
    parts = [place if _speaks(place) else f"{place} ({', '.join(names)})" for place, names in places.items()]
    return f"{len(reading.origins)} set: {', '.join(parts)}"


def _speaks(place: str) -> bool:
    return place.startswith(("KENNEL_", "--"))
