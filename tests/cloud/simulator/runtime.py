"""InvokeEndpoint and InvokeEndpointAsync."""

import base64
import json
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

from tests.cloud.simulator.endpoints import Endpoint
from tests.cloud.simulator.recording import Call
from tests.cloud.simulator.store import ACCOUNT, REGION, Fault
from tests.cloud.simulator.work import Answer

if TYPE_CHECKING:
    from tests.cloud.simulator.server import Simulator

LIMIT = 6_291_456
_CUSTOM = "X-Amzn-SageMaker-Custom-Attributes"


def invoke(simulator: "Simulator", call: Call, body: bytes) -> Answer:
    """What the endpoint says. Raises Fault: ValidationError without one, ModelError where its container refuses."""
    endpoint, variant = _endpoint(simulator, call, "InService")
    if "AsyncInferenceConfig" in endpoint.config.request:
        raise Fault("ValidationError", f"Endpoint {endpoint.resource.name} is an asynchronous inference endpoint.")
    limit = 4 * 2**20 if "ServerlessConfig" in variant else LIMIT
    if len(body) > limit:
        raise Fault("ValidationError", f"Value at 'body' failed to satisfy constraint: at most {limit} bytes", 413)
    answer = _ask(endpoint, call, body)
    _capture(simulator, endpoint, variant, call, body, answer)
    if answer.status != 200:
        raise _model_error(endpoint, variant, answer)
    headers = {"x-Amzn-Invoked-Production-Variant": variant["VariantName"]}
    if custom := {name.lower(): value for name, value in answer.headers.items()}.get(_CUSTOM.lower()):
        headers[_CUSTOM] = custom
    return Answer(200, answer.content_type, answer.body, headers)


def _endpoint(simulator: "Simulator", call: Call, *states: str) -> tuple[Endpoint, dict[str, Any]]:
    name = call.request["EndpointName"]
    found = simulator.store.find("Endpoint", name)
    if found is None or found.status not in (*states, "Updating", "RollingBack"):
        raise Fault("ValidationError", f"Endpoint {name} of account {ACCOUNT} not found.")
    endpoint = simulator.endpoints[found.arn]
    return endpoint, endpoint.config.request["ProductionVariants"][0]


def _ask(endpoint: Endpoint, call: Call, body: bytes) -> Answer:
    headers = {"Content-Type": call.request.get("ContentType", "application/octet-stream")}
    headers |= {"Accept": call.request["Accept"]} if call.request.get("Accept") else {}
    headers |= {_CUSTOM: call.request["CustomAttributes"]} if call.request.get("CustomAttributes") else {}
    if endpoint.server is None:
        raise Fault("ServiceUnavailable", "There is no container.", 503)
    return endpoint.server.ask("/invocations", body, headers)


def _model_error(endpoint: Endpoint, variant: dict[str, Any], answer: Answer) -> Fault:
    told = answer.body.decode(errors="replace")
    return Fault(
        "ModelError",
        f'Received client error ({answer.status}) from {variant["VariantName"]} with message "{told}". '
        f"See the log of /aws/sagemaker/Endpoints/{endpoint.resource.name} for more information.",
        424,
        OriginalStatusCode=answer.status,
        OriginalMessage=told,
        LogStreamArn=f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws/sagemaker/Endpoints/{endpoint.resource.name}",
    )


def _capture(
    simulator: "Simulator", endpoint: Endpoint, variant: dict[str, Any], call: Call, body: bytes, answer: Answer
) -> None:
    config = endpoint.config.request.get("DataCaptureConfig", {})
    if not config.get("EnableCapture"):
        return
    event = {
        "captureData": {
            "endpointInput": {
                "observedContentType": call.request.get("ContentType", ""), "mode": "INPUT",
                "data": base64.b64encode(body).decode(), "encoding": "BASE64",
            },
            "endpointOutput": {
                "observedContentType": answer.content_type, "mode": "OUTPUT",
                "data": answer.body.decode(errors="replace"), "encoding": "JSON",
            },
        },
        "eventMetadata": {
            "eventId": str(uuid.uuid4()), "inferenceTime": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        },
        "eventVersion": "0",
    }  # fmt: skip
    place = f"{endpoint.resource.name}/{variant['VariantName']}/{time.strftime('%Y/%m/%d/%H/%M-%S', time.gmtime())}"
    url = f"{config['DestinationS3Uri'].rstrip('/')}/{place}-{uuid.uuid4()}.jsonl"
    simulator.objects.write(url, json.dumps(event).encode())


def invoke_async(simulator: "Simulator", call: Call) -> Answer:
    """Where the answer will be. Raises Fault: ValidationError without such an endpoint or object."""
    endpoint, _ = _endpoint(simulator, call, "InService")
    config = endpoint.config.request.get("AsyncInferenceConfig")
    if config is None:
        raise Fault("ValidationError", f"Endpoint {endpoint.resource.name} is not an asynchronous inference endpoint.")
    number, output = uuid.uuid4(), config["OutputConfig"]
    place = f"{output['S3OutputPath'].rstrip('/')}/{number}.out"
    failure = f"{output['S3FailurePath'].rstrip('/')}/{number}-error.out" if "S3FailurePath" in output else ""
    body = simulator.objects.read(call.request["InputLocation"])

    def work() -> None:
        answer = _ask(endpoint, call, body)
        if answer.status == 200:
            simulator.objects.write(place, answer.body)
        elif failure:
            simulator.objects.write(failure, answer.body)

    threading.Thread(target=work, daemon=True).start()
    headers = {"X-Amzn-SageMaker-OutputLocation": place}
    headers |= {"X-Amzn-SageMaker-FailureLocation": failure} if failure else {}
    told = json.dumps({"InferenceId": call.request.get("InferenceId") or str(number)}).encode()
    return Answer(202, "application/json", told, headers)
