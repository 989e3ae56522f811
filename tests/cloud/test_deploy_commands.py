"""deploy, deploy --update, predict --endpoint, delete: as a person types them, on a simulated account."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from backends.runs import load_run
from deploy import app
from tests.cloud.conftest import BUCKET, IMAGE, ROLE
from tests.cloud.endpoint_cases import make_artifact
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.work import Prepared

ANSWER = json.dumps({"predictions": [{"label": "Pug", "index": 1, "probability": 0.75}]})


@pytest.fixture
def here(tmp_path: Path, prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with kennel.toml, an artifact and a photo, to stand in."""
    prepared.answer = ANSWER
    make_artifact(tmp_path / "artifact")
    (tmp_path / "pug.jpg").write_bytes(b"jpeg")
    (tmp_path / "kennel.toml").write_text(
        f'[kennel]\non = "sagemaker"\n[sagemaker]\nrole = "{ROLE}"\nbucket = "{BUCKET}"\nimage = "{IMAGE}"\n'
    )
    monkeypatch.setenv("KENNEL_CONFIG", str(tmp_path / "kennel.toml"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def say(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def deployed(*options: str) -> str:
    """The endpoint's name, once it is up."""
    answer = say("deploy", "--artifact", "artifact", "--name", "first", "--yes", *options)
    assert answer.exit_code == 0, answer.output
    return str(load_run(Path("runs/first")).record["sagemaker"]["endpoint"])


def test_from_deploying_to_deleting(cloud: Simulator, here: Path) -> None:
    name = deployed("-o", "deploy.instance_count=3")
    (config,) = cloud.requests("CreateEndpointConfig")
    assert config["ProductionVariants"][0]["InitialInstanceCount"] == 3
    for known in ("first", name):
        answer = say("predict", "--endpoint", known, "pug.jpg", "--json")
        assert (answer.exit_code, json.loads(answer.stdout)) == (0, {"file": "pug.jpg", **json.loads(ANSWER)})
    assert say("delete", "first").exit_code == 0
    assert [each.kind.noun for each in cloud.store] == []
    gone = say("predict", "--endpoint", "first", "pug.jpg")
    assert gone.exit_code == 2
    assert f"there is no endpoint {name} in eu-west-1" in gone.output


def test_an_endpoint_without_a_run_folder_is_asked_too(cloud: Simulator, here: Path) -> None:
    name = deployed()
    answer = say("predict", "--endpoint", name, "pug.jpg", "missing.jpg", "--runs", "others")
    assert answer.exit_code == 1
    assert "0.7500  Pug" in answer.output
    assert "error: missing.jpg can't be read" in answer.output


def test_an_update_serves_the_new_artifact(cloud: Simulator, here: Path) -> None:
    deployed()
    assert "with these settings already" in say("deploy", "--artifact", "artifact", "--update", "first").output
    (here / "artifact" / "model.safetensors").write_bytes(b"better\n")
    answer = say("deploy", "--artifact", "artifact", "--update", "first", "--yes")
    assert answer.exit_code == 0, answer.output
    assert "first serves" in answer.output.splitlines()[-1]
    assert len(cloud.requests("UpdateEndpoint")) == 1
    assert say("delete", "first").exit_code == 0
    # Both versions, and the alarms of the update.
    assert [each.kind.noun for each in cloud.store] == []
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("deploy", "--artifact", "artifact", "--update", "others"), "there is no deployment others in runs"),
        (("predict", "--endpoint", "one", "--url", "localhost:1", "pug.jpg"), "--url and --endpoint can't all answer"),
        (("deploy", "--artifact", "artifact", "-o", "deploy.instance_type=ml.p3.2xlarge"), "no code for the V100"),
        (("deploy", "--artifact", "artifact", "-o", "deploy.instance_type=ml.c7g.large"), "ARM processor"),
    ],
)
def test_what_cant_be_done_is_one_sentence(cloud: Simulator, here: Path, arguments: tuple[str, ...], told: str) -> None:
    answer = say(*arguments)
    assert answer.exit_code == 2
    assert told in answer.output
    assert "Traceback" not in answer.output
    assert cloud.changes() == []


def test_a_failed_endpoint_leaves_nothing_but_its_reason(cloud: Simulator, here: Path, prepared: Prepared) -> None:
    prepared.answer, prepared.lines = None, ["error: the artifact is of another version"]
    answer = say("deploy", "--artifact", "artifact", "--name", "first", "--yes")
    assert answer.exit_code == 2
    assert "its log ends: error: the artifact is of another version" in answer.output
    assert [each.kind.noun for each in cloud.store] == []
    record = load_run(here / "runs" / "first").record
    assert record["status"] == "failed"
    assert "ping health check" in record["reason"]


def test_an_endpoint_of_somebody_elses_machine_is_updated_and_deleted(cloud: Simulator, here: Path) -> None:
    name = deployed()
    assert say("attach", name, "--runs", "mine").exit_code == 0
    (here / "artifact" / "model.safetensors").write_bytes(b"better\n")
    answer = say("deploy", "--artifact", "artifact", "--update", name, "--yes", "--runs", "mine")
    assert answer.exit_code == 0, answer.output
    assert all(
        each["EndpointConfigName"].startswith("kennel-first-") for each in cloud.requests("CreateEndpointConfig")
    )
    assert say("delete", name, "--runs", "mine").exit_code == 0
    assert [each.kind.noun for each in cloud.store] == []


def test_local_deployments_cant_be_updated(cloud: Simulator, here: Path) -> None:
    from backends.runs import create_run

    create_run(here / "runs", "deployment", "local-one", backend="local")
    answer = say("deploy", "--artifact", "artifact", "--update", "local-one")
    assert "local-one is no deployment on SageMaker" in answer.output
