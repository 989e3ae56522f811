"""ImageNet weights in a container that has no network."""

import json
from pathlib import Path

from tests.container.docker_cli import READ_ONLY, USER, Docker, write_job

# The frozen backbone's first layer, in the artifact and in the file it came from.
COMPARE = """
import json, pathlib, safetensors.torch, torch
baked = next(pathlib.Path("/opt/kennel/pretrained").glob("resnet18-*.pth"))
theirs = torch.load(baked, weights_only=True)
ours = safetensors.torch.load_file("/opt/ml/model/model.safetensors")
names = [name for name in theirs if not name.startswith("fc.")]
print(json.dumps([len(names), sum(torch.equal(theirs[name], ours["backbone." + name]) for name in names)]))
"""


def test_baked_in_weights_are_found_without_a_network(docker: Docker, sample_data: Path, tmp_path: Path) -> None:
    tree = write_job(
        tmp_path / "ml",
        sample_data,
        pretrained="imagenet",
        freeze="backbone",
        image_size=32,
        epochs=1,
        batch_size=16,
    )
    options = (*USER, *READ_ONLY, "--volume", f"{tree}:/opt/ml", "--shm-size", "256m", "--network", "none")
    answer = docker.run("train", options=options)
    if docker.inspect_image()["Config"]["Labels"]["ai.kennel.pretrained"] == "none":
        assert answer.returncode == 2
        cause = (tree / "output" / "failure").read_text().splitlines()[0]
        assert "KENNEL_PRETRAINED_DIR" in cause
        assert "set pretrained to" in cause
        return
    assert answer.returncode == 0, answer.stdout + answer.stderr
    compared = docker.run("python", "-c", COMPARE, options=("--volume", f"{tree}:/opt/ml:ro", "--network", "none"))
    assert compared.returncode == 0, compared.stderr
    found, equal = json.loads(compared.stdout)
    assert found == equal
    assert found >= 100  # a ResNet-18 has 102 parameters and running statistics, 122 with the batch counters


def test_an_image_without_the_weights_names_the_ways_out(docker: Docker, sample_data: Path, tmp_path: Path) -> None:
    tree = write_job(tmp_path / "ml", sample_data, pretrained="imagenet", image_size=32, epochs=1)
    options = (
        *USER,
        *READ_ONLY,
        "--volume",
        f"{tree}:/opt/ml",
        "--network",
        "none",
        "--env",
        "KENNEL_PRETRAINED_DIR=/nothing",
    )
    answer = docker.run("train", options=options)
    assert answer.returncode == 2
    cause = (tree / "output" / "failure").read_text().splitlines()[0]
    assert cause.startswith("ClientError: ")
    assert "KENNEL_PRETRAINED_DIR" in cause
    assert "set pretrained to a weights file or to none" in cause
