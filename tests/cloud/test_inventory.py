"""What Kennel has in the account, found by tag and by name, with what it costs a day."""

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.resources.inventory import Inventory, list_resources
from backends.sagemaker.resources.resource import Resource
from backends.settings.sections import AccountSettings, Settings
from tests.cloud.account_state import BUCKET, FIRST, ROLE, SECOND, State, tags, variant


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    from moto import mock_aws

    with mock_aws():
        chosen = Settings(sagemaker=AccountSettings(region="us-east-1", bucket=BUCKET))
        account = Account(chosen, lambda _items: None)
        account.client("s3").create_bucket(Bucket=BUCKET)
        yield State(account)


def found(state: State) -> dict[tuple[str, str], Resource]:
    return {(each.kind, each.name): each for each in list_resources(state.account)}


def test_an_empty_account_has_nothing(state: State) -> None:
    assert list_resources(state.account) == []
    assert state.changes() == []


def test_no_bucket_is_made_by_looking(state: State) -> None:
    state.account.client("s3").delete_bucket(Bucket=BUCKET)
    state.calls.clear()
    assert list_resources(state.account) == []
    assert state.changes() == []


def test_everything_of_a_deployment_is_found_in_the_order_in_which_it_goes(state: State) -> None:
    state.endpoint()
    assert [(each.kind, each.name, each.run) for each in list_resources(state.account)] == [
        ("scheduled action", f"{FIRST}-1", FIRST),
        ("scaling policy", f"{FIRST}-invocations", FIRST),
        ("scaling target", f"endpoint/{FIRST}/variant/all", FIRST),
        ("endpoint", FIRST, FIRST),
        ("endpoint configuration", FIRST, FIRST),
        ("model", FIRST, FIRST),
        ("alarm", f"{FIRST}-errors", FIRST),
    ]


def test_an_endpoint_costs_what_its_instances_cost_a_day(state: State) -> None:
    state.endpoint(steps=3)
    endpoint = found(state)["endpoint", FIRST]
    # 3 x 24 h x $0.115
    assert endpoint.usd_per_day == pytest.approx(8.28)
    assert (endpoint.state, endpoint.detail) == ("InService", "3 x ml.m5.large")


def test_an_endpoint_whose_configuration_is_gone_has_an_unknown_price(state: State) -> None:
    state.endpoint(steps=3)
    state.sagemaker.delete_endpoint_config(EndpointConfigName=FIRST)
    endpoint = found(state)["endpoint", FIRST]
    assert endpoint.usd_per_day is None
    assert "unknown type" in endpoint.detail


def test_an_endpoint_that_failed_costs_nothing_and_is_there(state: State) -> None:
    state.endpoint(steps=3)

    def fail(parsed: dict[str, object], **_: object) -> None:
        parsed["EndpointStatus"] = "Failed"

    state.sagemaker.meta.events.register("after-call.sagemaker.DescribeEndpoint", fail)
    assert found(state)["endpoint", FIRST].usd_per_day == 0


def test_an_update_has_two_fleets_to_pay_for(state: State) -> None:
    state.endpoint(steps=3)
    state.sagemaker.create_endpoint_config(
        EndpointConfigName=f"{FIRST}-2",
        ProductionVariants=[{**variant(FIRST), "InitialInstanceCount": 1}],
        Tags=tags(FIRST),
    )

    def update(parsed: dict[str, object], **_: object) -> None:
        pending = {"VariantName": "all", "CurrentInstanceCount": 1, "InstanceType": "ml.m5.large"}
        parsed["EndpointStatus"] = "Updating"
        parsed["PendingDeploymentSummary"] = {"EndpointConfigName": f"{FIRST}-2", "ProductionVariants": [pending]}

    state.sagemaker.meta.events.register("after-call.sagemaker.DescribeEndpoint", update)
    endpoint = found(state)["endpoint", FIRST]
    # (3 + 1) x 24 h x $0.115
    assert endpoint.usd_per_day == pytest.approx(11.04)
    assert endpoint.detail == "3 x ml.m5.large, 1 x ml.m5.large"


def test_a_serverless_endpoint_costs_what_is_kept_warm(state: State) -> None:
    serverless = {"MemorySizeInMB": 3072, "MaxConcurrency": 5, "ProvisionedConcurrency": 2}
    state.endpoint(steps=1)
    state.sagemaker.create_endpoint_config(
        EndpointConfigName=FIRST, Tags=tags(FIRST),
        ProductionVariants=[{"VariantName": "all", "ModelName": FIRST, "ServerlessConfig": serverless}],
    )  # fmt: skip
    state.sagemaker.create_endpoint(EndpointName=FIRST, EndpointConfigName=FIRST, Tags=tags(FIRST))

    def describe(parsed: dict[str, object], **_: object) -> None:
        parsed["ProductionVariants"] = [{"VariantName": "all", "CurrentServerlessConfig": serverless}]

    state.sagemaker.meta.events.register("after-call.sagemaker.DescribeEndpoint", describe)
    endpoint = found(state)["endpoint", FIRST]
    # 2 x 3 GB x 86,400 s x $0.000005
    assert endpoint.usd_per_day == pytest.approx(2.592)
    assert endpoint.detail == "serverless, 3 GB, 2 kept warm"


def test_jobs_that_run_are_found_and_those_that_are_over_are_not(state: State) -> None:
    state.training(FIRST)
    state.training(SECOND, SECOND, status="Completed")
    state.transform(f"{FIRST}-transform")
    state.processing(f"{FIRST}-evaluation")
    state.tuning("kennel-tuning-1a2b3c", "kennel-tuning-1a2b3c")
    jobs = found(state)
    assert sorted(jobs) == [
        ("processing job", f"{FIRST}-evaluation"),
        ("training job", FIRST),
        ("transform job", f"{FIRST}-transform"),
        ("tuning job", "kennel-tuning-1a2b3c"),
    ]
    # 2 x 24 h x $0.7364; 24 h x $0.23; a tuning job's trainings are jobs themselves
    assert jobs["training job", FIRST].usd_per_day == pytest.approx(35.3472)
    assert jobs["transform job", f"{FIRST}-transform"].usd_per_day == pytest.approx(5.52)
    assert jobs["processing job", f"{FIRST}-evaluation"].usd_per_day == pytest.approx(5.52)
    assert jobs["tuning job", "kennel-tuning-1a2b3c"].usd_per_day == 0


def test_a_warm_pool_costs_as_its_job_did(state: State) -> None:
    state.training(FIRST, status="Completed")
    state.training(SECOND, SECOND, status="Completed")

    def listing(parsed: dict[str, object], **_: object) -> None:
        summaries = parsed["TrainingJobSummaries"]
        assert isinstance(summaries, list)
        for each in summaries:
            each["WarmPoolStatus"] = {"Status": "Available" if each["TrainingJobName"] == FIRST else "Terminated"}

    state.sagemaker.meta.events.register("after-call.sagemaker.ListTrainingJobs", listing)
    (pool,) = list_resources(state.account)
    assert (pool.kind, pool.name, pool.run) == ("warm pool", FIRST, FIRST)
    assert pool.usd_per_day == pytest.approx(35.3472)


def test_names_like_kennels_without_its_tag_are_somebody_elses(state: State) -> None:
    state.sagemaker.create_model(ModelName="kennel-of-others", ExecutionRoleArn=ROLE)
    state.alarm("kennel-of-others", tagged=False)
    state.training("kennel-of-others", tagged=False)
    name = "kennel-of-others-1a2b3c"
    state.sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant("kennel-of-others")])
    state.sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=name)
    for endpoint in (name, "kennel-of-nobody", "dogs"):
        state.account.client("application-autoscaling").register_scalable_target(
            ServiceNamespace="sagemaker", ResourceId=f"endpoint/{endpoint}/variant/all", MinCapacity=1, MaxCapacity=2,
            ScalableDimension="sagemaker:variant:DesiredInstanceCount",
        )  # fmt: skip
    assert list_resources(state.account) == []


def test_kennels_tag_under_another_name_is_found_by_the_index(state: State) -> None:
    state.sagemaker.create_model(ModelName="dogs", ExecutionRoleArn=ROLE, Tags=tags(FIRST))
    state.sagemaker.create_endpoint_config(EndpointConfigName="dogs", ProductionVariants=[variant("dogs")])
    state.sagemaker.create_endpoint(EndpointName="dogs", EndpointConfigName="dogs", Tags=tags(FIRST))
    kinds = [(each.kind, each.name, each.run) for each in list_resources(state.account)]
    assert kinds == [("endpoint", "dogs", FIRST), ("model", "dogs", FIRST)]


def test_objects_are_told_by_run_and_data_set(state: State) -> None:
    state.put(f"kennel/runs/{FIRST}/output/model.tar.gz", 2000)
    state.put(f"kennel/runs/{FIRST}/checkpoints/1", 1000)
    state.put("kennel/data/dogs-0123456789/train/a.jpg", 500)
    state.put("kennels/others.jpg", 100)
    state.account.client("s3").create_multipart_upload(Bucket=BUCKET, Key=f"kennel/runs/{FIRST}/model/big")
    resources = [(each.kind, each.name, each.run, each.detail) for each in list_resources(state.account)]
    assert resources == [
        ("unfinished upload", f"s3://{BUCKET}/kennel/runs/{FIRST}/model/big", FIRST, ""),
        ("objects", f"s3://{BUCKET}/kennel/data/dogs-0123456789/", "", "1 object, 500 bytes"),
        ("objects", f"s3://{BUCKET}/kennel/runs/{FIRST}/", FIRST, "2 objects, 3 kB"),
    ]


def test_storage_costs_what_all_versions_cost(state: State) -> None:
    s3 = state.account.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        state.put(f"kennel/runs/{FIRST}/output/x", 1_000_000)
    s3.delete_object(Bucket=BUCKET, Key=f"kennel/runs/{FIRST}/output/x")
    (thing,) = list_resources(state.account)
    assert thing.detail == "2 objects, 2 MB"
    # 2,000,000 / 2^30 GB x $0.023 / (730 / 24) days
    assert thing.usd_per_day == pytest.approx(1.4085e-6, rel=1e-3)


def test_an_artifact_is_its_runs_as_long_as_no_other_uses_it(state: State) -> None:
    for digest in ("one", "two", "three", "four"):
        state.put(f"kennel/models/{digest}/model.tar.gz", 10)
    state.put("kennel/models/one/evaluation.json", 10)
    for name, run, digest in (("a", FIRST, "one"), ("b", FIRST, "two"), ("c", SECOND, "two"), ("d", FIRST, "three")):
        container = {"Image": "image", "ModelDataUrl": f"s3://{BUCKET}/kennel/models/{digest}/model.tar.gz"}
        state.sagemaker.create_model(
            ModelName=f"{run}-{name}", ExecutionRoleArn=ROLE, PrimaryContainer=container, Tags=tags(run)
        )
    state.package("three")
    owners = {each.name.split("/")[-2]: each.run for each in list_resources(state.account) if each.kind == "objects"}
    assert owners == {"one": FIRST, "two": "", "three": "", "four": ""}


def test_logs_of_endpoints_and_model_packages_are_found(state: State) -> None:
    state.account.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{FIRST}")
    state.account.client("logs").create_log_group(logGroupName="/aws/sagemaker/TrainingJobs")
    state.package("three")
    state.sagemaker.create_model_package_group(ModelPackageGroupName="kennel-of-others")
    assert [(each.kind, each.name, each.run, each.detail) for each in list_resources(state.account)] == [
        ("model package", "kennel/1", "", f"s3://{BUCKET}/kennel/models/three/model.tar.gz"),
        ("model package group", "kennel", "", "1 version"),
        ("log group", f"/aws/sagemaker/Endpoints/{FIRST}", FIRST, "0 bytes"),
    ]


def test_where_the_index_may_not_be_read_names_do_and_it_is_said(state: State) -> None:
    state.endpoint(steps=3)

    def refuse(**_: object) -> object:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "GetResources")

    state.account.client("resourcegroupstaggingapi").meta.events.register("before-call", refuse)
    inventory = Inventory(state.account)
    assert [each.kind for each in inventory.resources] == ["endpoint", "endpoint configuration", "model"]
    assert inventory.notes[0].startswith("only names that begin with kennel- were looked at: ")
    assert inventory.usd_per_day == pytest.approx(8.28)


def test_what_may_not_be_looked_at_is_said_and_the_rest_is_found(state: State) -> None:
    state.endpoint(steps=3)

    def refuse(**_: object) -> object:
        raise ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "ListObjectVersions")

    state.account.client("s3").meta.events.register("before-call.s3.ListObjectVersions", refuse)
    inventory = Inventory(state.account)
    assert [each.kind for each in inventory.resources] == ["endpoint", "endpoint configuration", "model"]
    assert len(inventory.notes) == 1
    assert inventory.notes[0].startswith("objects in S3 couldn't be looked at: listing object versions")


def test_what_cannot_be_asked_for_another_reason_is_no_empty_account(state: State) -> None:
    def refuse(**_: object) -> object:
        raise ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "ListModels")

    state.sagemaker.meta.events.register("before-call.sagemaker.ListModels", refuse)
    with pytest.raises(BackendError, match="listing models"):
        list_resources(state.account)
