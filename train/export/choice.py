"""Which form serves by default."""

from model.forms import OPENVINO, OPENVINO_INT8, may_replace


def choose_default(reference: int, int8: int | None, n: int) -> str:
    """The form to serve: int8 unless it loses too much or isn't there (None)."""
    return OPENVINO_INT8 if int8 is not None and may_replace(reference, int8, n) else OPENVINO
