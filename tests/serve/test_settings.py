import re
from dataclasses import fields
from pathlib import Path

import pytest

from contract.errors import ConfigError
from serve.media_types import CSV, PREDICTIONS
from serve.settings import ServeSettings, default_text
from tests.serve.process import ROOT


def test_defaults() -> None:
    settings = ServeSettings.from_environ({})
    assert settings.ml_root == Path("/opt/ml")
    assert (settings.host, settings.port, settings.workers) == ("0.0.0.0", 8080, 0)
    assert settings.max_payload_bytes == 6_291_456
    assert settings.max_images == 64
    assert settings.default_accept == PREDICTIONS
    assert settings.log_level == 20
    assert (settings.engine, settings.device, settings.form, settings.precision) == ("auto",) * 4


def test_port_variables() -> None:
    assert ServeSettings.from_environ({"KENNEL_PORT": "9000"}).port == 9000
    both = {"SAGEMAKER_BIND_TO_PORT": "7000", "KENNEL_PORT": "9000"}
    assert ServeSettings.from_environ(both).port == 7000
    assert ServeSettings.from_environ({"SAGEMAKER_BIND_TO_PORT": "", "KENNEL_PORT": "9000"}).port == 9000
    assert ServeSettings.from_environ({**both, "SAGEMAKER_SAFE_PORT_RANGE": "7000-7001"}).port == 7000
    assert ServeSettings.from_environ({"SAGEMAKER_SAFE_PORT_RANGE": "7000-7001"}).port == 8080
    with pytest.raises(ConfigError, match=r"SAGEMAKER_BIND_TO_PORT must lie within .*\(7001-7002\), got 7000"):
        ServeSettings.from_environ({**both, "SAGEMAKER_SAFE_PORT_RANGE": "7001-7002"})


def test_values_as_sagemaker_writes_them() -> None:
    settings = ServeSettings.from_environ(
        {
            "SAGEMAKER_CONTAINER_LOG_LEVEL": "10",
            "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
            "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "text/csv",
            "SAGEMAKER_MODEL_SERVER_TIMEOUT": "3600",
        }
    )
    assert settings.log_level == 10
    assert settings.max_payload_bytes == 1024 * 1024 * 1024
    assert settings.default_accept == CSV
    assert settings.timeout_s == 3600.0


def test_all_faults_are_told_at_once() -> None:
    wrong = {
        "SAGEMAKER_BIND_TO_PORT": "65536",
        "SAGEMAKER_SAFE_PORT_RANGE": "9-5",
        "SAGEMAKER_MODEL_SERVER_WORKERS": "many",
        "SAGEMAKER_MODEL_SERVER_TIMEOUT": "nan",
        "SAGEMAKER_CONTAINER_LOG_LEVEL": "loud",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "-1",
        "KENNEL_MAX_IMAGES": "0",
        "SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT": "image/png",
        "KENNEL_ENGINE": "steam",
        "KENNEL_DEVICE": "gpu",
        "KENNEL_FORM": "onnx",
        "KENNEL_PRECISION": "int8",
    }
    with pytest.raises(ConfigError) as caught:
        ServeSettings.from_environ(wrong)
    message = str(caught.value)
    assert "\n" not in message
    for name, value in wrong.items():
        assert re.search(rf"{name} must be [^|]+, got '{value}'", message), (name, message)


def test_every_setting_is_documented() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    rows = {line.split("|")[1].strip(): line for line in text.splitlines() if line.startswith("| `")}
    assert len(fields(ServeSettings)) == 21
    for setting in fields(ServeSettings):
        row = rows[", else ".join(f"`{name}`" for name in setting.metadata["variables"])]
        assert row.split("|")[2].strip().strip("`") == default_text(setting)
