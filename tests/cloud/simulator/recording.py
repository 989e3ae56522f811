"""What was asked of the account, read from the requests themselves."""

import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import parse_qs, unquote
from xml.etree import ElementTree as ET

from botocore.parsers import RpcV2CBORParser

# The name a request is signed for -> the service's name in boto3, where they differ.
_SERVICES: Final = {
    "monitoring": "cloudwatch",
    "tagging": "resourcegroupstaggingapi",
    "servicequotas": "service-quotas",
}
_S3_HEADERS: Final = {
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION": "ServerSideEncryption",
    "HTTP_X_AMZ_SERVER_SIDE_ENCRYPTION_AWS_KMS_KEY_ID": "SSEKMSKeyId",
    "HTTP_X_AMZ_TAGGING": "Tagging",
    "CONTENT_TYPE": "ContentType",
}
_RUNTIME_HEADERS: Final = {
    "CONTENT_TYPE": "ContentType",
    "HTTP_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CONTENT_TYPE": "ContentType",
    "HTTP_X_AMZN_SAGEMAKER_ACCEPT": "Accept",
    "HTTP_X_AMZN_SAGEMAKER_CUSTOM_ATTRIBUTES": "CustomAttributes",
    "HTTP_X_AMZN_SAGEMAKER_INFERENCE_ID": "InferenceId",
    "HTTP_X_AMZN_SAGEMAKER_INPUTLOCATION": "InputLocation",
    "HTTP_X_AMZN_SAGEMAKER_TARGET_VARIANT": "TargetVariant",
}
_BUCKET_PARTS: Final = {"location", "policy", "versioning", "tagging", "encryption", "acl", "uploads"}
_XML: Final = "{http://s3.amazonaws.com/doc/2006-03-01/}"
_READING: Final = ("Describe", "List", "Get", "Head", "BatchGet", "Lookup", "Filter", "Search", "Simulate", "Assume")


@dataclass
class Call:
    """One request. service: as boto3 names it. key: the access key that signed it. error: the code of a refusal.

    agent: what the client calls itself.
    """

    service: str
    operation: str
    request: dict[str, Any]
    key: str = ""
    status: int = 0
    error: str | None = None
    agent: str = ""

    @property
    def changes(self) -> bool:
        """Whether it is more than a question."""
        return not self.operation.startswith(_READING) and self.operation != "ValidatePipelineDefinition"


def read_call(environ: Mapping[str, Any], body: bytes) -> Call:
    """The call that an HTTP request is."""
    authorization = str(environ.get("HTTP_AUTHORIZATION", ""))
    key, service = "", "s3"
    if "Credential=" in authorization:
        scope = authorization.partition("Credential=")[2].partition(",")[0].split("/")
        key, service = scope[0], _SERVICES.get(scope[3], scope[3])
    path, query = unquote(str(environ.get("PATH_INFO", ""))), str(environ.get("QUERY_STRING", ""))
    target = str(environ.get("HTTP_X_AMZ_TARGET", ""))
    if target:
        return Call(service, target.rpartition(".")[2], json.loads(body or b"{}"), key)
    if "/operation/" in path:
        return Call(service, path.rpartition("/")[2], _cbor(body), key)
    if service == "sagemaker":
        return _runtime(environ, path, key)
    if service == "s3":
        return _s3(environ, path, parse_qs(query, keep_blank_values=True), key, body)
    form = {name: values[0] for name, values in parse_qs(body.decode(errors="replace")).items()}
    return Call(service, form.pop("Action", ""), form, key)


def _cbor(body: bytes) -> dict[str, Any]:
    value = RpcV2CBORParser().parse_data_item(io.BufferedReader(io.BytesIO(body))) if body else {}
    return dict(value)


def _runtime(environ: Mapping[str, Any], path: str, key: str) -> Call:
    request: dict[str, Any] = {"EndpointName": path.split("/")[2]}
    request.update({name: environ[header] for header, name in _RUNTIME_HEADERS.items() if environ.get(header)})
    operation = "InvokeEndpointAsync" if path.endswith("/async-invocations") else "InvokeEndpoint"
    return Call("sagemaker-runtime", operation, request, key)


def _s3(environ: Mapping[str, Any], path: str, query: Mapping[str, list[str]], key: str, body: bytes) -> Call:
    bucket, _, name = path.lstrip("/").partition("/")
    request: dict[str, Any] = {"Bucket": bucket, **({"Key": name} if name else {})}
    request.update({told: environ[header] for header, told in _S3_HEADERS.items() if environ.get(header)})
    request.update({"Prefix": query["prefix"][0]} if "prefix" in query else {})
    operation = _s3_operation(str(environ["REQUEST_METHOD"]), bool(name), query, environ)
    if operation == "DeleteObjects":
        request["Delete"] = {"Objects": [_deleted(each) for each in ET.fromstring(body).iter(f"{_XML}Object")]}
    return Call("s3", operation, request, key)


def _deleted(element: ET.Element) -> dict[str, str]:
    """{"Key"}, and {"VersionId"} where it names one."""
    return {each.tag.removeprefix(_XML): each.text or "" for each in element}


def _s3_operation(method: str, of_object: bool, query: Mapping[str, list[str]], environ: Mapping[str, Any]) -> str:
    if of_object:
        return _object_operation(method, query, environ)
    if method == "POST":
        return "DeleteObjects"
    if method == "GET" and not _BUCKET_PARTS & set(query):
        listed = "ListObjects" if environ["PATH_INFO"] != "/" else "ListBuckets"
        return "ListObjectsV2" if "list-type" in query else listed
    part = next((each for each in query if each not in ("prefix", "x-id")), "")
    verb = {"GET": "Get", "PUT": "Put" if part else "Create", "HEAD": "Head", "DELETE": "Delete"}[method]
    return "ListMultipartUploads" if part == "uploads" else f"{verb}Bucket{part.title().replace('-', '')}"


def _object_operation(method: str, query: Mapping[str, list[str]], environ: Mapping[str, Any]) -> str:
    if method == "POST":
        return "CreateMultipartUpload" if "uploads" in query else "CompleteMultipartUpload"
    if "uploadId" in query:
        return {"PUT": "UploadPart", "DELETE": "AbortMultipartUpload"}[method]
    if method == "PUT" and "HTTP_X_AMZ_COPY_SOURCE" in environ:
        return "CopyObject"
    return {"GET": "GetObject", "PUT": "PutObject", "HEAD": "HeadObject", "DELETE": "DeleteObject"}[method]
