"""`deploy.py status` and `deploy.py delete` on sagemaker, over the simulated account."""

import io
import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

import deploy as program
from backends.runs import Run, create_run, load_run
from backends.sagemaker.account import Account
from backends.settings.sections import Deploy
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.endpoint_cases import account_of, make_artifact, up
from tests.cloud.simulator.server import Simulator
from tests.cloud.simulator.store import ACCOUNT, REGION
from tests.cloud.simulator.work import Prepared

PLACE = f"account {ACCOUNT}, {REGION}"


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return make_artifact(tmp_path / "artifact")


@dataclass
class Ended:
    """How a command ended, and what it said."""

    code: int
    stdout: str
    stderr: str


Say = Callable[..., Ended]


@pytest.fixture
def say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Say:
    """deploy.py with the account's settings. typed: what somebody types at a terminal; None: there is none."""
    file = tmp_path / "kennel.toml"
    file.write_text(f'[kennel]\nruns = "{tmp_path}/runs"\n[sagemaker]\nregion = "{REGION}"\nbucket = "{BUCKET}"\n')

    def say(*arguments: str, typed: str | None = None) -> Ended:
        stdin = io.StringIO(typed or "")
        monkeypatch.setattr(stdin, "isatty", lambda: typed is not None, raising=False)
        monkeypatch.setattr("sys.stdin", stdin)
        capsys.readouterr()
        code = program.app([*arguments, "--config", str(file)], standalone_mode=False)
        return Ended(code or 0, *capsys.readouterr())

    return say


def rows(text: str) -> list[list[str]]:
    return [re.split(r"  +", line.strip()) for line in text.splitlines()]


def left(cloud: Simulator) -> list[str]:
    return [each.name for noun in ("Endpoint", "EndpointConfig", "Model") for each in cloud.store.of(noun)]


def scaled() -> Account:
    chosen = Deploy(max_instances=4, instance_count=2, schedule=("0 7 ? * MON-FRI *=2:4", "0 19 ? * * *=1:2"))
    return account_of(settings(deploy=chosen))


def deployed(tmp_path: Path, artifact: Path, name: str = "first", account: Account | None = None) -> Run:
    run = create_run(tmp_path / "runs", "deployment", name, backend="sagemaker")
    up(account or scaled(), run, artifact)
    return run


def test_an_account_with_nothing_in_it(say: Say, cloud: Simulator, tmp_path: Path) -> None:
    answer = say("status", "--on", "sagemaker")
    assert answer.code == 0
    assert answer.stdout == f"no runs in {tmp_path}/runs\n{PLACE}: Kennel has nothing there\n"
    assert cloud.changes() == []


def test_status_shows_all_of_an_account_with_what_it_costs(
    say: Say, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    name = deployed(tmp_path, artifact).record["sagemaker"]["name"]
    answer = say("status", "--on", "sagemaker")
    assert answer.code == 0
    table = rows(answer.stdout)
    endpoint = next(row for row in table if row[0] == "endpoint")
    # 2 x 24 h x $0.115 x 1.15
    assert endpoint[1:4] == [name, name, "InService"]
    assert endpoint[-2:] == ["2 x ml.m5.large", "$6.35"]
    assert {row[0] for row in table} >= {
        "scheduled action", "scaling policy", "scaling target", "endpoint configuration", "model", "objects",
    }  # fmt: skip
    assert f"{PLACE}: $6.35 a day" in answer.stdout
    assert "AWS's list prices of us-east-1 as of 2026-09" in answer.stdout


def test_prices_may_be_asked_of_aws(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    deployed(tmp_path, artifact)
    offer = {"A": {"priceDimensions": {"B": {"pricePerUnit": {"USD": "0.2"}}}}}
    product = {"product": {"attributes": {"usagetype": "EU-Host:ml.m5.large"}}, "terms": {"OnDemand": offer}}
    cloud.answer("GetProducts", lambda _request: {"PriceList": [json.dumps(product)]})
    answer = say("status", "--on", "sagemaker", "-o", "prices=api")
    # 2 x 24 h x $0.20
    assert f"{PLACE}: $9.60 a day" in answer.stdout
    assert f"prices: AWS's list prices of {REGION}, asked of its Pricing API now" in answer.stdout
    assert [request["Filters"][1]["Value"] for request in cloud.requests("GetProducts")] == ["ml.m5.large"]


def test_status_elsewhere_asks_nothing_of_an_account(say: Say, cloud: Simulator, tmp_path: Path) -> None:
    assert say("status").stdout == f"no runs in {tmp_path}/runs\n"
    assert cloud.calls == []


def test_delete_takes_all_that_deploy_made_and_says_what_stays(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    run = deployed(tmp_path, artifact)
    answer = say("delete", "first")
    assert answer.code == 0, answer.stderr
    assert "--with-data removes these, too:" in answer.stdout
    assert load_run(run.path).status == "stopped"
    assert left(cloud) == []
    scaling = cloud.client("application-autoscaling")
    assert scaling.describe_scalable_targets(ServiceNamespace="sagemaker")["ScalableTargets"] == []
    assert scaling.describe_scheduled_actions(ServiceNamespace="sagemaker")["ScheduledActions"] == []
    assert cloud.client("cloudwatch").describe_alarms()["MetricAlarms"] == []
    again = say("delete", "first")
    assert again.code == 0, again.stderr


def test_delete_without_the_run_folder(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    run = deployed(tmp_path, artifact)
    (run.path / "run.json").unlink()
    refused = say("delete", "first")
    assert refused.code == 2
    answer = say("delete", "first", "--on", "sagemaker")
    assert answer.code == 0, answer.stderr
    assert left(cloud) == []


def test_data_go_only_when_somebody_says_so(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    deployed(tmp_path, artifact)
    nobody = say("delete", "first", "--with-data")
    assert nobody.code == 2
    assert nobody.stderr == ("error: there is no terminal to ask at whether these may be removed; give --yes\n")
    no = say("delete", "first", "--with-data", typed="n\n")
    assert (no.code, no.stderr) == (130, "error: not agreed to; nothing was removed\n")
    assert len(list(cloud.objects.keys(BUCKET, "kennel/models/"))) == 1
    yes = say("delete", "first", "--with-data", "--yes")
    assert yes.code == 0, yes.stderr
    assert list(cloud.objects.keys(BUCKET, "")) == []


def test_all_of_an_account_goes_when_somebody_says_so(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    first, second = (deployed(tmp_path, artifact, name) for name in ("first", "second"))
    (first.path / "run.json").unlink()
    assert say("delete", "--all", "--on", "sagemaker").code == 2
    assert len(left(cloud)) == 6
    answer = say("delete", "--all", "--on", "sagemaker", typed="y\n")
    assert answer.code == 0, answer.stderr
    assert left(cloud) == []
    assert load_run(second.path).status == "stopped"


def test_another_accounts_settings_do_not_lead_astray(
    say: Say, cloud: Simulator, prepared: Prepared, tmp_path: Path, artifact: Path
) -> None:
    deployed(tmp_path, artifact)
    answer = say("delete", "first", "-o", "region=us-west-2", "-o", "bucket=another")
    assert answer.code == 0, answer.stderr
    assert left(cloud) == []


def test_a_local_run_has_nothing_in_s3(say: Say, tmp_path: Path) -> None:
    create_run(tmp_path / "runs", "deployment", "here", backend="local")
    answer = say("delete", "here", "--with-data")
    assert (answer.code, answer.stderr) == (
        2, "error: here has nothing in S3: it is on local; leave --with-data out\n",
    )  # fmt: skip
