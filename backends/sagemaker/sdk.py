"""The one door to SageMaker's Python SDK, version 2: silenced, and with a sentence when it isn't there."""

import importlib
import logging
import os
import warnings
from importlib import metadata
from typing import Any, Final

from backends.errors import BackendError

# In place of the SDK's own configuration files, whose defaults would change requests behind kennel.toml. And the SDK
# reports home otherwise: the account, what failed and why, at the end of Estimator.fit.
SDK_CONFIG: Final = {
    "SchemaVersion": "1.0",
    "SageMaker": {"PythonSDK": {"Modules": {"TelemetryOptOut": True}}},
}
_REMEDY: Final = "pip install 'sagemaker>=2.257,<3'"


def sdk(module: str) -> Any:
    """A module of the SDK, as `sdk("estimator")` for sagemaker.estimator. Raises BackendError without version 2."""
    # Else every class of version 2 warns that there is a version 3.
    os.environ.setdefault("SAGEMAKER_SUPPRESS_V2_WARNING", "1")
    # What it has to say comes as an exception, too, and reaches the person as a sentence. The second logger has a level
    # and a handler of its own.
    for name in ("sagemaker", "sagemaker.config"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            # Of what it imports: escapes in docstrings, deprecations. Nobody here can mend them.
            warnings.simplefilter("ignore")
            importlib.import_module("sagemaker.estimator")
            return importlib.import_module(f"sagemaker.{module}")
    except ImportError as error:
        raise BackendError(_no_sdk(error)) from error


def has_volumes(instance_type: str) -> bool:
    """Whether its disk is a volume that is paid for, and not the instance's own."""
    return bool(sdk("utils").instance_supports_kms(instance_type))


def _no_sdk(error: ImportError) -> str:
    try:
        installed = metadata.version("sagemaker")
    except metadata.PackageNotFoundError:
        return f"SageMaker's SDK isn't installed; {_REMEDY}"
    if not installed.startswith("2."):
        return f"SageMaker's SDK {installed} has no Estimator, which version 2 has; {_REMEDY}"
    return f"SageMaker's SDK {installed} can't be imported ({error}); {_REMEDY}"
