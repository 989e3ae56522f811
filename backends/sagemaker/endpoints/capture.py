"""What an endpoint is asked and answers, kept in S3 by SageMaker, and brought here again."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.names import S3Location
from backends.sagemaker.sdk import sdk
from backends.sagemaker.storage.objects import list_objects, read_object

ROWS: Final = "predictions.jsonl"
# An image's first bytes, and how its file is called. The label that came with it may be anything.
_KINDS: Final = (
    (b"\xff\xd8\xff", ".jpg"), (b"\x89PNG", ".png"), (b"GIF8", ".gif"), (b"RIFF", ".webp"), (b"BM", ".bmp"),
    (b"II*\0", ".tif"), (b"MM\0*", ".tif"), (b"\x93NUMPY", ".npy"),
)  # fmt: skip


def capture_location(account: Account, run: Run) -> S3Location:
    """Where a deployment's requests and answers are kept."""
    return account.run_location(run) / "capture"


def data_capture(account: Account, run: Run) -> dict[str, Any]:
    """{"DataCaptureConfig": ...} of an endpoint configuration when something is to be captured, else nothing."""
    percent = account.settings.deploy.capture_percent
    if not percent:
        return {}
    config = sdk("model_monitor.data_capture_config").DataCaptureConfig(
        enable_capture=True,
        sampling_percentage=percent,
        destination_s3_uri=capture_location(account, run).url,
        kms_key_id=account.settings.sagemaker.kms_key or None,
        capture_options=["REQUEST", "RESPONSE"],
        # Answers are kept as text; images, whatever their type, in base64.
        json_content_types=["application/json"],
        sagemaker_session=account.session,
    )
    return {"DataCaptureConfig": config._to_request_dict()}


def fetch_captured(account: Account, run: Run, out: Path) -> int:
    """Write each request's body into the folder as 000001.jpg ..., oldest first, and what was answered to
    predictions.jsonl: {"file", "time", "predictions"}, or {"file", "time", "answer"} for an answer of another form.

    Returns how many there are. Raises BackendError.
    """
    out.mkdir(parents=True, exist_ok=True)
    count = 0
    with (out / ROWS).open("w", encoding="utf-8") as rows:
        for event in _events(account, capture_location(account, run)):
            count += 1
            rows.write(json.dumps(_write(event, out, count), ensure_ascii=False) + "\n")
    return count


def _events(account: Account, location: S3Location) -> Iterator[dict[str, Any]]:
    # ENDPOINT/VARIANT/YYYY/MM/DD/HH/..., so that the order of the names is that of the hours.
    for name in sorted(list_objects(account, location)):
        if name.endswith(".jsonl"):
            body = read_object(account, location / name) or b""
            yield from (json.loads(line) for line in body.splitlines() if line.strip())


def _write(event: dict[str, Any], out: Path, number: int) -> dict[str, Any]:
    captured = event.get("captureData", {})
    body = _data(captured.get("endpointInput", {}))
    suffix = next((suffix for start, suffix in _KINDS if body.startswith(start)), "")
    if not suffix:
        suffix = ".json" if captured.get("endpointInput", {}).get("encoding") == "JSON" else ".bin"
    name = f"{number:06}{suffix}"
    (out / name).write_bytes(body)
    row = {"file": name, "time": event.get("eventMetadata", {}).get("inferenceTime", "")}
    answer = _data(captured.get("endpointOutput", {})).decode(errors="replace")
    try:
        return {**row, "predictions": json.loads(answer)["predictions"]}
    except (ValueError, KeyError, TypeError):
        return {**row, "answer": answer}


def _data(side: dict[str, Any]) -> bytes:
    data = str(side.get("data", ""))
    return base64.b64decode(data) if side.get("encoding") == "BASE64" else data.encode()
