"""Values as the sentences of errors quote them."""

import json


def quoted(value: object) -> str:
    """Text as it is, anything else as JSON; on one line, 80 characters at most."""
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    text = " ".join(text.split()) or '""'
    return text if len(text) <= 80 else f"{text[:77]}..."


def quoted_json(value: object) -> str:
    """As `quoted`, with text as JSON too: a number differs from its digits."""
    return quoted(json.dumps(value, default=str))
