"""The SDK does what Kennel's settings say nothing behind them: no report home, no defaults from files of its own."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from backends.sagemaker.account import Account
from backends.sagemaker.sdk import SDK_CONFIG, sdk
from backends.settings import sections

ROLE = "arn:aws:iam::123456789012:role/kennel-execution"


@pytest.fixture
def account(monkeypatch: pytest.MonkeyPatch) -> Iterator[Account]:
    """An account without anybody's own configuration."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    chosen = sections.AccountSettings(region="eu-west-1", role=ROLE, bucket="photos")
    from moto import mock_aws

    with mock_aws():
        boto3.client("s3", region_name="eu-west-1").create_bucket(
            Bucket="photos", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
        )
        yield Account(sections.Settings(sagemaker=chosen), lambda _items: None)


@pytest.fixture
def reports(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The URLs that the SDK would have fetched to report what was done."""
    sdk("telemetry.telemetry_logging")
    import requests

    seen: list[str] = []
    monkeypatch.setattr(requests, "get", lambda url, *_: seen.append(url))
    return seen


def fit(session: Any) -> dict[str, Any]:
    """The request of a training job started through such a session."""
    seen: list[dict[str, Any]] = []
    session.sagemaker_client.meta.events.register(
        "before-parameter-build.sagemaker.CreateTrainingJob", lambda params, **_: seen.append(params)
    )
    estimator = sdk("estimator").Estimator(
        image_uri="123456789012.dkr.ecr.eu-west-1.amazonaws.com/kennel:1", role=ROLE, instance_count=1,
        instance_type="ml.m5.large", output_path="s3://photos/kennel/out", sagemaker_session=session,
    )  # fmt: skip
    estimator.fit({"training": "s3://photos/kennel/data"}, wait=False, logs=False, job_name=f"kennel-{len(seen)}")
    (request,) = seen
    return request


def test_nothing_is_reported_home(account: Account, reports: list[str]) -> None:
    assert fit(account.session)["TrainingJobName"] == "kennel-0"
    assert reports == []


def test_by_itself_the_sdk_reports_the_account(account: Account, reports: list[str]) -> None:
    fit(sdk("session").Session(boto_session=account.boto))
    (url,) = reports
    assert "x-accountId=123456789012" in url


def test_the_sdks_own_files_change_no_request(
    account: Account, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "config.yaml").write_text(
        "SchemaVersion: '1.0'\nSageMaker:\n  TrainingJob:\n    EnableNetworkIsolation: true\n"
    )
    monkeypatch.setenv("SAGEMAKER_USER_CONFIG_OVERRIDE", str(tmp_path / "config.yaml"))
    assert fit(sdk("session").Session(boto_session=account.boto))["EnableNetworkIsolation"] is True
    assert "EnableNetworkIsolation" not in fit(account.session)


def test_its_configuration_is_one_that_the_sdk_takes() -> None:
    # Account.session spares the SDK looking.
    sdk("config").validate_sagemaker_config(SDK_CONFIG)
    wrong = {"SchemaVersion": "1.0", "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": "yes"}}}}
    with pytest.raises(Exception, match="'yes' is not of type 'boolean'"):
        sdk("config").validate_sagemaker_config(wrong)
