"""Asking an endpoint, by its name: at once, or through S3 where it is asynchronous."""

import json
import mimetypes
import time
import uuid
from pathlib import Path
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account, aws_record
from backends.sagemaker.endpoints.endpoints import describe_endpoint, endpoint_of
from backends.sagemaker.errors import translate_aws_errors
from backends.sagemaker.jobs.polling import poll_seconds
from backends.sagemaker.names import S3Location
from backends.sagemaker.storage.objects import read_object

# Bytes of a request: of the service model, and of serverless endpoints.
LIMIT: Final = 6_291_456
SERVERLESS_LIMIT: Final = 4 * 1024 * 1024
# Waking from nothing takes minutes.
_ASYNC_LIMIT_S: Final = 1800.0
_ASYNC_POLL_S: Final = 2.0


def ask_deployment(account: Account, run: Run, image: Path) -> dict[str, Any]:
    """A deployment's answer to one image, {"predictions": [...]}. Raises BackendError."""
    return ask_endpoint(account, endpoint_of(run), image, aws_record(run).get("endpoint_kind"))


def ask_endpoint(account: Account, endpoint: str, image: Path, kind: str | None = None) -> dict[str, Any]:
    """The answer of any endpoint of Kennel's to one image. kind: as in [deploy], found out unless given."""
    try:
        body = image.read_bytes()
    except OSError as error:
        raise BackendError(f"{image} can't be read ({error.strerror})") from error
    kind = kind or kind_of(account, endpoint)
    guess = mimetypes.guess_type(image.name)[0] or ""
    content_type = guess if guess.startswith("image/") else "application/octet-stream"
    if kind == "async":
        answer = _invoke_async(account, endpoint, body, content_type)
    else:
        _check_size(image, len(body), kind)
        answer = _invoke(account, endpoint, body, content_type)
    return _parsed(answer, f"{image}: {endpoint}")


def kind_of(account: Account, endpoint: str) -> str:
    """realtime, serverless or async. Raises BackendError when there is no such endpoint."""
    description = describe_endpoint(account, endpoint)
    if description is None:
        raise BackendError(
            f"there is no endpoint {endpoint} in {account.region}; python deploy.py status shows what is up"
        )
    if "AsyncInferenceConfig" in description:
        return "async"
    variants = description.get("ProductionVariants", [])
    return "serverless" if any("CurrentServerlessConfig" in each for each in variants) else "realtime"


def _check_size(image: Path, size: int, kind: str) -> None:
    limit = SERVERLESS_LIMIT if kind == "serverless" else LIMIT
    if size > limit:
        raise BackendError(
            f"{image} has {size:,} bytes, and a {kind} endpoint takes {limit:,} at most; make it smaller, or deploy "
            "with kind async"
        )


def _invoke(account: Account, endpoint: str, body: bytes, content_type: str) -> bytes:
    from botocore.exceptions import ClientError

    with translate_aws_errors(f"asking {endpoint}"):
        try:
            answer = account.client("sagemaker-runtime").invoke_endpoint(
                EndpointName=endpoint, Body=body, ContentType=content_type, Accept="application/json"
            )
        except ClientError as error:
            # The server's own answer, in its own words.
            if error.response.get("Error", {}).get("Code") == "ModelError":
                raise BackendError(refusal(error.response)) from error
            raise
        content: bytes = answer["Body"].read()
    return content


def refusal(response: dict[str, Any]) -> str:
    """The server's own sentence in a ModelError, else the first line of what it answered."""
    original = str(response.get("OriginalMessage") or response.get("Error", {}).get("Message", ""))
    sentence = _sentence(original)
    status = response.get("OriginalStatusCode")
    return sentence or f"the server answered {status or 'an error'}: {original.splitlines()[0] if original else ''}"


def _sentence(text: str) -> str:
    try:
        return str(json.loads(text)["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return ""


def _invoke_async(account: Account, endpoint: str, body: bytes, content_type: str) -> bytes:
    """The image to S3, the request to the endpoint, and the answer from S3 when it lies there."""
    location = account.location(f"requests/{endpoint}/{uuid.uuid4().hex}")
    with translate_aws_errors(f"sending the image to {location.url}"):
        account.client("s3").put_object(
            Bucket=location.bucket, Key=location.key, Body=body, ContentType=content_type, **account.encryption
        )
    with translate_aws_errors(f"asking {endpoint}"):
        locations = account.client("sagemaker-runtime").invoke_endpoint_async(
            EndpointName=endpoint, InputLocation=location.url, ContentType=content_type, Accept="application/json"
        )
    answer = _wait_for_output(
        account, endpoint, S3Location.parse(locations["OutputLocation"]), locations.get("FailureLocation")
    )
    with translate_aws_errors(f"removing {location.url}"):
        account.client("s3").delete_object(Bucket=location.bucket, Key=location.key)
    return answer


def _wait_for_output(account: Account, endpoint: str, output: S3Location, failure: str | None) -> bytes:
    end = time.monotonic() + _ASYNC_LIMIT_S
    while time.monotonic() < end:
        if (answer := read_object(account, output)) is not None:
            return answer
        if failure and (failure_body := read_object(account, S3Location.parse(failure))) is not None:
            text = failure_body.decode(errors="replace")
            raise BackendError(
                _sentence(text)
                or f"the server failed: {text.strip().splitlines()[0] if text.strip() else 'no reason given'}"
            )
        time.sleep(min(poll_seconds(), _ASYNC_POLL_S))
    raise BackendError(
        f"{endpoint} gave no answer in {_ASYNC_LIMIT_S / 60:.0f} minutes; it will be written to {output.url}, and "
        "python deploy.py logs shows what the server does"
    )


def _parsed(answer: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(answer)
    except ValueError as error:
        raise BackendError(
            f"{where} answered with something that isn't JSON; is it an endpoint of Kennel's?"
        ) from error
    if not isinstance(value, dict) or "predictions" not in value:
        raise BackendError(f"{where} answered without predictions; is it an endpoint of Kennel's?")
    return value
