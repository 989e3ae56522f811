"""What the tutorials' notebooks do, in their words: SageMaker's SDK in its local mode, and of Kennel only the image
and its ImagePredictor.

    python -m tests.container.tutorial (model | batch | search | hosts) IMAGE DATA RESULTS.json

`batch` uses the model of `model`, whose results it reads beside its own. S3 is whatever AWS_ENDPOINT_URL
names. A connection to anywhere but this machine is refused, and noted in the results.
"""

import importlib
import json
import os
import socket
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np

os.environ["SAGEMAKER_SUPPRESS_V2_WARNING"] = "1"


def sdk(module: str) -> Any:
    """A module of SageMaker's SDK."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return importlib.import_module(f"sagemaker.{module}")


Estimator = sdk("estimator").Estimator
LocalSession = sdk("local").LocalSession
Model = sdk("model").Model
Predictor: Any = sdk("predictor").Predictor
Processor = sdk("processing").Processor
ProcessingInput = sdk("processing").ProcessingInput
ProcessingOutput = sdk("processing").ProcessingOutput

KennelPredictor: Any = importlib.import_module("backends.sagemaker.endpoints.predictor").ImagePredictor

ROLE = "arn:aws:iam::123456789012:role/dogs"
SMALL: dict[str, Any] = {"pretrained": "none", "image_size": 32, "batch_size": 16, "export": "none"}
strangers: list[str] = []


class ImagePredictor(Predictor):  # type: ignore[misc]
    """As the tutorials have it, in a cell of the notebook."""

    def __init__(self, endpoint_name: str, sagemaker_session: Any) -> None:
        super().__init__(
            endpoint_name,
            sagemaker_session=sagemaker_session,
            serializer=sdk("serializers").IdentitySerializer(content_type="image/jpeg"),
            deserializer=sdk("deserializers").JSONDeserializer(accept="application/json;format=list"),
        )


def stay_here() -> None:
    """Let no name but this machine's be looked up."""
    real = socket.getaddrinfo

    def look_up(host: Any, *arguments: Any, **more: Any) -> Any:
        if host not in (None, "localhost", "127.0.0.1", "::1"):
            strangers.append(str(host))
            raise socket.gaierror(f"{host} is not this machine")
        return real(host, *arguments, **more)

    socket.getaddrinfo = look_up


def fit(session: Any, image: str, inputs: str, output: str, hosts: int, **hyperparameters: Any) -> Any:
    """An Estimator that has trained. output: where in S3."""
    estimator = Estimator(
        image_uri=image,
        role=ROLE,
        instance_count=hosts,
        instance_type="local",
        output_path=output,
        hyperparameters={**SMALL, **hyperparameters},
        sagemaker_session=session,
    )
    estimator.fit({"training": inputs})
    return estimator


def serve(session: Any, image: str, estimator: Any, photo: bytes) -> dict[str, Any]:
    plain = estimator.deploy(initial_instance_count=1, instance_type="local")
    try:
        # As boto3's invoke_endpoint, which the notebooks call too.
        answer = session.sagemaker_runtime_client.invoke_endpoint(
            EndpointName=plain.endpoint_name, Body=photo, ContentType="image/jpeg", Accept="application/json"
        )
        told = json.loads(answer["Body"].read())
    finally:
        plain.delete_endpoint()
    model = Model(
        image_uri=image,
        model_data=estimator.model_data,
        role=ROLE,
        predictor_cls=ImagePredictor,
        sagemaker_session=session,
    )
    predictor = model.deploy(initial_instance_count=1, instance_type="local")
    try:
        response = predictor.predict(photo, initial_args={"ContentType": "image/jpeg"})
        ours = KennelPredictor(predictor.endpoint_name, session)
        labels = [ours.predict(photo)[0]["label"], *(best[0]["label"] for best in ours.predict([photo, photo]))]
    finally:
        predictor.delete_endpoint()
    return {"told": told, "response": response, "labels": labels, "class": int(np.argmax(response, 1)[0])}


def transform(session: Any, image: str, model_data: str, photos: str, bucket: str) -> None:
    model = Model(image_uri=image, model_data=model_data, role=ROLE, sagemaker_session=session)
    transformer = model.transformer(
        instance_count=1,
        instance_type="local",
        strategy="SingleRecord",
        output_path=f"s3://{bucket}/transformed",
        accept="application/json",
    )
    transformer.transform(photos, content_type="image/jpeg", wait=False)


def process(session: Any, image: str, inputs: str, bucket: str) -> None:
    processor = Processor(
        image_uri=image,
        role=ROLE,
        instance_count=1,
        instance_type="local",
        entrypoint=["python", "-m", "train.check_data"],
        sagemaker_session=session,
    )
    processor.run(
        inputs=[ProcessingInput(source=inputs, destination="/opt/ml/processing/data")],
        outputs=[ProcessingOutput(source="/opt/ml/processing/report", destination=f"s3://{bucket}/processed")],
        arguments=["--data", "/opt/ml/processing/data", "--json", "/opt/ml/processing/report/data.json"],
        logs=False,
    )


def main(part: str, image: str, data: Path, results: Path) -> None:
    stay_here()
    # For the name of its own bucket the SDK asks STS at its public address.
    session = LocalSession(default_bucket="dogs-of-the-tutorial")
    bucket = session.default_bucket()
    inputs = session.upload_data(str(data), bucket, "dogs")
    photo = sorted((data / "test").glob("*/*.jpg"))[0]
    found: dict[str, Any] = {"bucket": bucket}
    if part == "model":
        estimator = fit(session, image, inputs, f"s3://{bucket}/output", 1, epochs=2, lr="0.01")
        found |= {"model": estimator.model_data, **serve(session, image, estimator, photo.read_bytes())}
    elif part == "batch":
        photos = session.upload_data(str(photo.parent), bucket, "photos")
        transform(session, image, json.loads(results.with_name("model.json").read_text())["model"], photos, bucket)
        process(session, image, inputs, bucket)
    else:
        chosen = {"epochs": 1, "tune_trials": 2} if part == "search" else {"epochs": 2, "batch_size": 12}
        found["model"] = fit(session, image, inputs, f"s3://{bucket}/{part}", 2, **chosen).model_data
    results.write_text(json.dumps({**found, "strangers": strangers}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
