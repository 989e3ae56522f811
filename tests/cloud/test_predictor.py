"""ImagePredictor: what goes out for each kind of image, what comes back, and the tutorials' code with it."""

import io
import json
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backends.sagemaker.account import Account
from backends.sagemaker.endpoints import predictor as ours
from backends.sagemaker.endpoints.predictor import ImageSerializer, PredictionsDeserializer, is_several, to_bytes
from backends.sagemaker.sdk import sdk
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared
from tests.cloud.test_simulator import OFTEN

PREDICTIONS = [{"label": "Pug", "index": 1, "probability": 0.75}]
PIXELS = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)


def pixels_of(image: bytes) -> Any:
    return np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))


def test_bytes_and_files_travel_as_they_are(tmp_path: Path) -> None:
    (tmp_path / "dog.jpg").write_bytes(b"jpeg")
    for given in (b"jpeg", bytearray(b"jpeg"), memoryview(b"jpeg"), tmp_path / "dog.jpg", str(tmp_path / "dog.jpg")):
        assert to_bytes(given) == b"jpeg"
        assert not is_several(given)


@pytest.mark.parametrize("given", [PIXELS, Image.fromarray(PIXELS)])
def test_pixels_travel_without_loss(given: Any) -> None:
    assert not is_several(given)
    assert np.array_equal(pixels_of(to_bytes(given)), PIXELS)


def test_grey_and_transparent_arrays() -> None:
    assert np.array_equal(pixels_of(to_bytes(PIXELS[:, :, 0]))[:, :, 2], PIXELS[:, :, 0])
    assert Image.open(io.BytesIO(to_bytes(np.zeros((2, 3, 4), np.uint8)))).mode == "RGBA"


def test_a_mode_that_png_lacks_becomes_rgb() -> None:
    assert Image.open(io.BytesIO(to_bytes(Image.new("CMYK", (4, 4))))).mode == "RGB"


def test_what_is_too_much_for_a_request_becomes_a_jpeg() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1600, 1600, 3), dtype=np.uint8)
    sent = to_bytes(noise)
    assert Image.open(io.BytesIO(sent)).format == "JPEG"
    assert len(sent) <= 6_291_456


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (np.zeros((2, 3, 3), np.float32), r"must be uint8 of shape .*got float32 of shape \(2, 3, 3\)"),
        (np.zeros((3, 224, 224), np.uint8), r"got uint8 of shape \(3, 224, 224\)"),
        (42, "an image is bytes, a path, a PIL image or an array .* got int"),
        (None, "got NoneType"),
    ],
)
def test_what_is_no_image_is_told(given: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        ImageSerializer().serialize(given)


def test_a_file_that_isnt_there(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        to_bytes(tmp_path / "nowhere.jpg")


def test_several_travel_as_json() -> None:
    sent = json.loads(ImageSerializer().serialize([b"one", PIXELS]))
    # base64 of "one".
    assert sent["instances"][0] == {"b64": "b25l"}
    assert len(sent["instances"]) == 2
    assert is_several(np.stack([PIXELS, PIXELS]))
    assert len(json.loads(ImageSerializer().serialize(np.stack([PIXELS] * 3)))["instances"]) == 3


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({"predictions": PREDICTIONS}, PREDICTIONS),
        ({"predictions": [PREDICTIONS, []]}, [PREDICTIONS, []]),
        # As the tutorials' numpy.argmax(response, 1) wants it.
        ([[0.25, 0.75]], [[0.25, 0.75]]),
    ],
)
def test_labels_come_back(body: Any, expected: Any) -> None:
    stream = io.BytesIO(json.dumps(body).encode())
    assert PredictionsDeserializer().deserialize(stream, "application/json") == expected
    assert stream.closed


def test_its_requests(cloud: Simulator, account: Account, prepared: Prepared) -> None:
    up(cloud, account, {"predictions": PREDICTIONS}, prepared)
    predictor = ours.ImagePredictor("kennel-dogs", account.session)
    assert predictor.predict(b"jpeg") == PREDICTIONS
    assert predictor.predict([b"one", b"two"]) == PREDICTIONS
    # The tutorials' own call.
    assert predictor.predict(b"jpeg", initial_args={"ContentType": "image/jpeg"}) == PREDICTIONS
    assert predictor.predict(b"jpeg", custom_attributes="top_k=3") == PREDICTIONS
    kinds = [(each["ContentType"], each["Accept"]) for each in cloud.requests("InvokeEndpoint")]
    assert kinds == [
        ("application/octet-stream", "application/json"), ("application/json", "application/json"),
        ("image/jpeg", "application/json"), ("application/octet-stream", "application/json"),
    ]  # fmt: skip
    assert cloud.requests("InvokeEndpoint")[3]["CustomAttributes"] == "top_k=3"


def test_a_serializer_of_the_persons_own_is_theirs(cloud: Simulator, account: Account, prepared: Prepared) -> None:
    up(cloud, account, {"predictions": PREDICTIONS}, prepared)
    npy = sdk("serializers").NumpySerializer()
    predictor = ours.ImagePredictor("kennel-dogs", account.session, serializer=npy)
    predictor.predict(np.stack([PIXELS]))
    assert cloud.requests("InvokeEndpoint")[0]["ContentType"] == "application/x-npy"


def up(cloud: Simulator, account: Account, answer: Any, prepared: Prepared) -> None:
    prepared.answer = json.dumps(answer)
    cloud.objects.write(f"s3://{BUCKET}/kennel/model.tar.gz", b"")
    cloud.objects.store_archive(Path(__file__).parent / "simulator", f"s3://{BUCKET}/kennel/model.tar.gz")
    deploy(account)


def deploy(account: Account, **more: Any) -> Any:
    """The tutorials' notebook, with our image and predictor class."""
    model = sdk("model").Model(
        image_uri=IMAGE, model_data=f"s3://{BUCKET}/kennel/model.tar.gz", role=ROLE, predictor_cls=ours.ImagePredictor,
        sagemaker_session=account.session,
    )  # fmt: skip
    predictor = model.deploy(
        initial_instance_count=1, instance_type="ml.m5.large", endpoint_name="kennel-dogs", wait=False, **more
    )
    waiter = account.client("sagemaker").get_waiter("endpoint_in_service")
    waiter.wait(EndpointName="kennel-dogs", WaiterConfig=OFTEN)
    return predictor


def test_the_tutorials_code_gets_labels_from_a_real_server(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    from tests.contracts.engine_artifacts import pictures, save, separating_network

    save(tmp_path / "artifact", separating_network())
    cloud.objects.store_archive(tmp_path / "artifact", f"s3://{BUCKET}/kennel/model.tar.gz")
    predictor = deploy(account)
    assert type(predictor).__name__ == "ImagePredictor"
    file = tmp_path / "picture.png"
    Image.fromarray(pictures()[1]).save(file)
    for given in (file, str(file), file.read_bytes(), Image.open(file), pictures()[1]):
        best, *others = predictor.predict(given)
        # The network tells the pictures 0, 1, 2, 0, 1.
        assert best["index"] == 1
        assert set(best) == {"label", "index", "probability"}
        assert best["probability"] > max(each["probability"] for each in others)
    answers = predictor.predict(pictures())
    assert [answer[0]["index"] for answer in answers] == [0, 1, 2, 0, 1]
    raw = predictor.predict(file, initial_args={"Accept": "application/json;format=list"})
    assert np.argmax(raw, 1).tolist() == [1]
    with pytest.raises(account.client("sagemaker-runtime").exceptions.ModelError, match="not an image"):
        predictor.predict(b"no image")


def test_an_asynchronous_endpoint_by_the_sdks_wrapper(
    cloud: Simulator, account: Account, prepared: Prepared, tmp_path: Path
) -> None:
    prepared.answer = json.dumps({"predictions": PREDICTIONS})
    cloud.objects.store_archive(Path(__file__).parent / "simulator", f"s3://{BUCKET}/kennel/model.tar.gz")
    config = sdk("async_inference.async_inference_config").AsyncInferenceConfig(
        output_path=f"s3://{BUCKET}/kennel/runs/out", failure_path=f"s3://{BUCKET}/kennel/runs/failed"
    )
    predictor = deploy(account, async_inference_config=config)
    waiter = sdk("async_inference.waiter_config").WaiterConfig(max_attempts=600, delay=0.2)
    assert predictor.predict(PIXELS, waiter_config=waiter) == PREDICTIONS
    # The SDK goes on looking for a failure in a thread that nobody joins, until it finds one. (Not every thread has its
    # name as a text.)
    (output,) = cloud.objects.keys(BUCKET, "kennel/runs/out/")
    cloud.objects.write(f"s3://{BUCKET}/kennel/runs/failed/{Path(output).stem}-error.out", b"{}")
    for thread in threading.enumerate():
        if "check_failure_file" in str(thread.name):
            thread.join(60)


def test_it_is_made_when_it_is_asked_for() -> None:
    from backends.sagemaker.endpoints.predictor import ImagePredictor

    assert ours.ImagePredictor is ImagePredictor
    assert issubclass(ImagePredictor, sdk("predictor").Predictor)
    with pytest.raises(AttributeError, match="has no attribute Predictor"):
        _ = ours.Predictor
