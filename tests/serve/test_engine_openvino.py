"""The openvino engine's own: which form and precision, how threads are shared, files that are broken."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from contract.errors import ArtifactError, DeviceError
from model.artifact import Artifact, sha256
from model.forms import OPENVINO, OPENVINO_INT8, TORCH, Form, Score
from serve.engines.base import EngineOptions
from serve.engines.openvino import OpenVinoEngine, bf16_pays, choose_form, choose_precision, share_threads
from tests.contracts.engine_artifacts import RIGHT, WRONG, add_forms, save, separating_network
from tests.serve.test_choose import with_forms

PLAIN, BF16 = ("FP32", "INT8"), ("BF16", "FP32", "INT8")


def scored(reference: Score | None, bf16: Score | None) -> Artifact:
    artifact = with_forms()
    forms = {TORCH: Form(validation={"f32": reference}), OPENVINO: Form(validation={"f32": RIGHT, "bf16": bf16})}
    object.__setattr__(artifact, "forms", forms)
    return artifact


def test_the_default_form_is_run() -> None:
    auto = EngineOptions("auto", 1)
    assert choose_form(with_forms(TORCH, OPENVINO, OPENVINO_INT8), auto) == OPENVINO_INT8
    # int8 is there, but training found that it costs accuracy.
    assert choose_form(with_forms(TORCH, OPENVINO_INT8, OPENVINO), auto) == OPENVINO
    assert choose_form(with_forms(TORCH, OPENVINO), EngineOptions("cpu", 1, form=OPENVINO_INT8)) == OPENVINO_INT8


@pytest.mark.parametrize(
    ("reference", "bf16", "precision"),
    [
        (RIGHT, RIGHT, "bf16"),
        (RIGHT, Score(200, 179, 0.3), "bf16"),  # half a point
        (RIGHT, WRONG, "f32"),  # a whole one
        (RIGHT, None, "f32"),  # trained on a CPU without bf16
        (None, RIGHT, "f32"),
        (Score(100, 90, 0.3), RIGHT, "f32"),  # not of the same images
    ],
)
def test_bf16_is_chosen_where_it_costs_no_accuracy(reference: Score | None, bf16: Score | None, precision: str) -> None:
    artifact = scored(reference, bf16)
    assert choose_precision(artifact, OPENVINO, "auto", BF16, True) == precision
    assert choose_precision(artifact, OPENVINO, "auto", PLAIN, True) == "f32"
    assert choose_precision(artifact, OPENVINO, "auto", BF16, False) == "f32"
    assert choose_precision(artifact, OPENVINO_INT8, "auto", BF16, True) == "f32"
    assert choose_precision(artifact, OPENVINO, "bf16", BF16, False) == "bf16"


def test_a_precision_that_the_cpu_does_not_have() -> None:
    with pytest.raises(DeviceError, match="precision bf16 is wanted, but OpenVINO on this CPU computes in f32 only"):
        choose_precision(scored(RIGHT, RIGHT), OPENVINO, "bf16", PLAIN, True)
    with pytest.raises(DeviceError, match=r"precision f16 .* in f32, bf16 only"):
        choose_precision(scored(RIGHT, RIGHT), OPENVINO, "f16", BF16, True)


@pytest.mark.parametrize(
    ("threads", "shared"),
    [(1, (1, 1)), (2, (2, 1)), (3, (3, 1)), (16, (16, 1)), (17, (8, 2)), (32, (16, 2)), (48, (16, 3)), (96, (16, 6))],
)
def test_cores_are_full_and_never_taken_twice(threads: int, shared: tuple[int, int]) -> None:
    assert share_threads(threads) == shared
    concurrency, width = shared
    assert threads - width < concurrency * width <= threads


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact with the float form, whose scores leave bf16 out."""
    folder, network = tmp_path_factory.mktemp("whole"), separating_network()
    save(folder, network)
    add_forms(folder, network, int8=False, scores={"f32": RIGHT, "bf16": WRONG})
    return folder


def test_what_it_says_of_itself(whole: Path) -> None:
    engine = OpenVinoEngine(Artifact.load(whole), EngineOptions("auto", 1))
    assert re.fullmatch(r"openvino 20[\d.]+, form openvino in f32, on the CPU, 1 thread", engine.description)
    assert engine.max_concurrency == 1


def changed(old: str, new: str) -> Callable[[bytes], bytes]:
    def change(graph: bytes) -> bytes:
        assert old.encode() in graph
        return graph.replace(old.encode(), new.encode())

    return change


GRAPHS: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "nothing": (lambda graph: b"", "no graph that Kennel wrote"),
    "a text that OpenVINO would try as TensorFlow's": (lambda graph: b"junk", "no graph that Kennel wrote"),
    "more layers than it could read in minutes": (lambda graph: graph + b" " * 2**21, "no graph that Kennel wrote"),
    "half": (lambda graph: graph[: len(graph) // 2], "can't be used by OpenVINO"),
    "a layer that there isn't": (changed('type="Convolution"', 'type="Nope"'), "can't be used by OpenVINO"),
    "strides of none": (changed('strides="2, 2"', 'strides="0, 0"'), "can't be used by OpenVINO"),
    "a loop": (changed('from-layer="0"', 'from-layer="5"'), "can't be used by OpenVINO|doesn't fit its manifest"),
    "another input": (changed('shape="?,32,32,3"', 'shape="?,64,64,3"'), r"turns u8 \[\?,64,64,3\] into \[\?,3\], exp"),
    "an input in floats": (changed('"?,32,32,3" element_type="u8"', '"?,32,32,3" element_type="f32"'), "turns f32"),
    "no batches": (changed('shape="?,32,32,3"', 'shape="1,32,32,3"'), "doesn't fit its manifest"),
    "no output": (changed('type="Result"', 'type="ReLU"'), r"into nothing, expected u8 \[\?,32,32,3\] into \[\?,3\]"),
}


@pytest.fixture
def copy(whole: Path, tmp_path: Path) -> Artifact:
    """To be changed."""
    shutil.copytree(whole, tmp_path, dirs_exist_ok=True)
    return Artifact.load(tmp_path)


def refused(artifact: Artifact, reason: str) -> None:
    """By its checksum; and by what is in it, if whoever changed it has changed the manifest, too."""
    with pytest.raises(ArtifactError, match="isn't the file that was trained"):
        OpenVinoEngine(artifact, EngineOptions("cpu", 1))
    manifest = artifact.path / "kennel.json"
    text = manifest.read_text()
    for name, digest in artifact.files(OPENVINO).items():
        text = text.replace(digest, sha256(artifact.path / name))
    manifest.write_text(text)
    with pytest.raises(ArtifactError, match=reason) as caught:
        OpenVinoEngine(Artifact.read(artifact.path), EngineOptions("cpu", 1))
    assert str(artifact.graph(OPENVINO)) in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", list(GRAPHS))
def test_graphs_that_are_broken_or_hostile(kind: str, copy: Artifact) -> None:
    change, reason = GRAPHS[kind]
    graph = copy.graph(OPENVINO)
    graph.write_bytes(change(graph.read_bytes()))
    refused(copy, reason)


@pytest.mark.parametrize("content", [b"", bytes(1000), bytes(50_000_000)], ids=["empty", "short", "zeros"])
def test_weights_that_are_broken(content: bytes, copy: Artifact) -> None:
    (copy.path / "openvino.bin").write_bytes(content)
    refused(copy, "can't be used by OpenVINO")


@pytest.mark.parametrize("name", ["openvino.xml", "openvino.bin"])
def test_files_that_went_away(name: str, copy: Artifact) -> None:
    (copy.path / name).unlink()
    with pytest.raises(ArtifactError, match=f"has no {name}; train again"):
        OpenVinoEngine(copy, EngineOptions("cpu", 1))


@pytest.mark.parametrize(
    ("cpuinfo", "pays"),
    [
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx512f avx512_bf16\n", False),
        ("vendor_id\t: GenuineIntel\nflags\t\t: avx512f avx512_bf16 amx_bf16 amx_tile\n", True),
        ("vendor_id\t: AuthenticAMD\nflags\t\t: avx512f avx512_bf16\n", True),
        ("CPU implementer\t: 0x41\nFeatures\t: asimd bf16\n", True),
    ],
)
def test_bf16_pays_with_units_for_it(tmp_path: Path, cpuinfo: str, pays: bool) -> None:
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    assert bf16_pays(tmp_path / "cpuinfo") is pays


def test_an_unknown_cpu_has_what_openvino_says(tmp_path: Path) -> None:
    assert bf16_pays(tmp_path / "nowhere")
