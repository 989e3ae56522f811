"""What an endpoint is asked and answers, kept in S3."""

from typing import Any

from backends.cloud.account import Account
from backends.cloud.sdk import sdk
from backends.runs import Run


def data_capture(account: Account, run: Run) -> dict[str, Any]:
    """{"DataCaptureConfig": ...} of an endpoint configuration when something is to be captured, else nothing."""
    percent = account.settings.deploy.capture_percent
    if not percent:
        return {}
    config = sdk("model_monitor.data_capture_config").DataCaptureConfig(
        enable_capture=True,
        sampling_percentage=percent,
        destination_s3_uri=(account.place(run) / "capture").url,
        kms_key_id=account.settings.sagemaker.kms_key or None,
        capture_options=["REQUEST", "RESPONSE"],
        # Answers are kept as text; images, whatever their type, in base64.
        json_content_types=["application/json"],
        sagemaker_session=account.session,
    )
    return {"DataCaptureConfig": config._to_request_dict()}
