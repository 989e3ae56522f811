"""Removal by tag and name alone, whatever step a run was killed at, and again and again."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.account import Account
from backends.sagemaker.resources.delete import delete_resources, plan_removal, resources_of_run
from backends.sagemaker.resources.inventory import list_resources
from backends.sagemaker.resources.resource import Resource
from backends.settings.sections import AccountSettings, Settings
from tests.cloud.account_state import BUCKET, FIRST, SECOND, State, answer

RUN = Run(Path("/home/ann/runs/first"), {"kind": "deployment", "created_at": "2026-11-29T18:00:00+00:00"})


@pytest.fixture
def state(monkeypatch: pytest.MonkeyPatch) -> Iterator[State]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "none")
    monkeypatch.setenv("KENNEL_POLL_S", "0")
    from moto import mock_aws

    with mock_aws():
        chosen = Settings(sagemaker=AccountSettings(region="us-east-1", bucket=BUCKET))
        account = Account(chosen, lambda _items: None)
        account.client("s3").create_bucket(Bucket=BUCKET)
        yield State(account)


def remove(state: State, name: Run | str, with_data: bool = False) -> list[str]:
    """Remove what there is; returns what was said."""
    said: list[str] = []
    state.calls.clear()
    delete_resources(state.account, plan_removal(state.account, name, with_data), said.append)
    return said


@pytest.mark.parametrize("steps", range(8))
def test_whatever_call_a_deployment_was_killed_after_nothing_of_it_is_left(state: State, steps: int) -> None:
    state.endpoint(steps=steps)
    assert len(plan_removal(state.account, FIRST)) == steps
    remove(state, FIRST)
    assert state.left() == {}
    assert remove(state, FIRST) == []


def test_everything_goes_in_an_order_that_works(state: State) -> None:
    state.endpoint()
    remove(state, FIRST)
    where = {
        "ServiceNamespace": "sagemaker", "ResourceId": f"endpoint/{FIRST}/variant/all",
        "ScalableDimension": "sagemaker:variant:DesiredInstanceCount",
    }  # fmt: skip
    assert state.calls == [
        ("DeleteScheduledAction", {**where, "ScheduledActionName": f"{FIRST}-1"}),
        ("DeleteScalingPolicy", {**where, "PolicyName": f"{FIRST}-invocations"}),
        ("DeregisterScalableTarget", where),
        ("DeleteEndpoint", {"EndpointName": FIRST}),
        ("DeleteEndpointConfig", {"EndpointConfigName": FIRST}),
        ("DeleteModel", {"ModelName": FIRST}),
        ("DeleteAlarms", {"AlarmNames": [f"{FIRST}-errors"]}),
    ]


def test_scaling_that_an_endpoint_left_behind_goes_too(state: State) -> None:
    state.endpoint()
    state.sagemaker.delete_endpoint(EndpointName=FIRST)
    remove(state, FIRST)
    assert state.left() == {}


def test_another_runs_things_stay(state: State) -> None:
    state.endpoint(FIRST)
    state.endpoint(SECOND)
    remove(state, FIRST)
    assert {name for names in state.left().values() for name in names} == {
        SECOND, f"{SECOND}-errors", f"endpoint/{SECOND}/variant/all",
    }  # fmt: skip


def test_a_run_is_found_by_its_folder_by_its_name_and_by_its_name_in_the_account(state: State) -> None:
    # sha256("/home/ann/runs/first" "2026-11-29T18:00:00+00:00") begins with this.
    name = "kennel-first-cb34cc"
    state.endpoint(name, steps=1)
    for given in (RUN, "first", name):
        assert [each.name for each in plan_removal(state.account, given)] == [name]
    assert plan_removal(state.account, "fir") == []
    assert plan_removal(state.account, "irst") == []


def test_a_name_that_is_cut_in_the_account_is_found(state: State) -> None:
    long = "a" * 60
    state.endpoint(f"kennel-{'a' * 49}-1a2b3c", steps=1)
    assert len(plan_removal(state.account, long)) == 1


def test_a_name_of_two_runs_is_nobodys() -> None:
    things = [Resource("model", "one", "kennel-first-1a2b3c"), Resource("model", "two", "kennel-first-4d5e6f")]
    with pytest.raises(BackendError) as refusal:
        resources_of_run(things, "first")
    assert str(refusal.value) == (
        "2 runs in the account are named first: kennel-first-1a2b3c, kennel-first-4d5e6f; give one of these"
    )
    assert resources_of_run(things, "kennel-first-4d5e6f") == things[1:]


def test_jobs_that_run_are_stopped_and_waited_for(state: State) -> None:
    state.tuning(FIRST)
    state.training(f"{FIRST}-001")
    state.transform(f"{FIRST}-transform")
    state.processing(f"{FIRST}-evaluation")
    said = remove(state, FIRST)
    assert state.calls == [
        ("StopHyperParameterTuningJob", {"HyperParameterTuningJobName": FIRST}),
        ("StopTrainingJob", {"TrainingJobName": f"{FIRST}-001"}),
        ("StopTransformJob", {"TransformJobName": f"{FIRST}-transform"}),
        ("StopProcessingJob", {"ProcessingJobName": f"{FIRST}-evaluation"}),
    ]
    assert said[0] == f"stopping tuning job {FIRST}"
    assert state.left() == {}


def test_a_job_that_is_stopping_is_waited_for_and_not_asked_again(state: State) -> None:
    state.training(FIRST, status="Stopping")
    asked = iter(["Stopping", "Stopping", "Stopping", "Stopped"])

    def describe(parsed: dict[str, str], **_: object) -> None:
        parsed["TrainingJobStatus"] = next(asked)

    state.sagemaker.meta.events.register_last("after-call.sagemaker.DescribeTrainingJob", describe)
    assert remove(state, FIRST) == [f"waiting for training job {FIRST} to end"]
    assert state.changes() == []
    assert list(asked) == []


def test_a_job_that_ended_meanwhile_is_no_fault(state: State) -> None:
    state.training(FIRST)

    def refuse(**_: object) -> None:
        state.running["TrainingJob"][FIRST] = "Completed"
        raise ClientError(
            {"Error": {"Code": "ValidationException", "Message": "The request was rejected: the job is Completed."}},
            "StopTrainingJob",
        )

    state.sagemaker.meta.events.register_first("before-call.sagemaker.StopTrainingJob", refuse)
    assert remove(state, FIRST) == [f"stopping training job {FIRST}"]


def test_a_warm_pool_is_let_go(state: State) -> None:
    delete_resources(state.account, [Resource("warm pool", FIRST, FIRST, {"TrainingJobName": FIRST})])
    assert state.calls == [
        ("UpdateTrainingJob", {"TrainingJobName": FIRST, "ResourceConfig": {"KeepAlivePeriodInSeconds": 0}})
    ]


def busy(state: State, times: int) -> None:
    """DeleteEndpoint is refused so many times, as it is while an endpoint is made or updated."""
    left = iter(range(times))

    def refuse(**_: object) -> None:
        if next(left, None) is not None:
            message = 'Cannot update in-progress endpoint "arn:aws:sagemaker:us-east-1:123456789012:endpoint/x".'
            raise ClientError({"Error": {"Code": "ValidationException", "Message": message}}, "DeleteEndpoint")

    state.sagemaker.meta.events.register_first("before-call.sagemaker.DeleteEndpoint", refuse)


def test_an_endpoint_that_is_being_made_is_waited_for(state: State) -> None:
    state.endpoint(steps=3)
    busy(state, 3)
    said = remove(state, FIRST)
    assert said[:2] == [
        f"removing endpoint {FIRST}",
        f"endpoint {FIRST} is being made or changed and can't be removed before that is done; waiting",
    ]
    assert state.left() == {}


def test_an_endpoints_configuration_stays_until_the_endpoint_is_gone(state: State) -> None:
    state.endpoint(steps=3)
    asked = iter([True, True, False])

    def describe(**_: object) -> object:
        if next(asked):
            return answer({"EndpointName": FIRST, "EndpointStatus": "Deleting"})
        assert "DeleteEndpointConfig" not in state.changes()
        return None

    things = plan_removal(state.account, FIRST)
    state.sagemaker.meta.events.register_first("before-call.sagemaker.DescribeEndpoint", describe)
    said: list[str] = []
    delete_resources(state.account, things, said.append)
    assert f"waiting for endpoint {FIRST} to end" in said
    assert list(asked) == []
    assert state.left() == {}


def deny(state: State, operation: str) -> None:
    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "not you"}}, operation)

    state.sagemaker.meta.events.register_first(f"before-call.sagemaker.{operation}", refuse)


def test_one_that_cannot_be_removed_keeps_what_it_uses_and_no_other(state: State) -> None:
    state.endpoint()
    state.training(f"{FIRST}-training")
    deny(state, "DeleteEndpoint")
    with pytest.raises(BackendError) as refusal:
        remove(state, FIRST)
    assert f"removing endpoint {FIRST}" in str(refusal.value)
    assert str(refusal.value).endswith("; the same command goes on from here")
    assert set(state.left()) == {"endpoints", "configurations", "models", "alarms"}


def test_data_stay_unless_they_are_to_go(state: State) -> None:
    state.endpoint(steps=1)
    for number in range(3):
        state.put(f"kennel/runs/{FIRST}/output/{number}", 10)
    state.put(f"kennel/runs/{SECOND}/output/1", 10)
    state.put("kennel/data/dogs-0123456789/a.jpg", 10)
    s3 = state.account.client("s3")
    s3.create_multipart_upload(Bucket=BUCKET, Key=f"kennel/runs/{FIRST}/big")
    state.account.client("logs").create_log_group(logGroupName=f"/aws/sagemaker/Endpoints/{FIRST}")
    remove(state, FIRST)
    assert len(state.keys()) == 5
    remove(state, FIRST, with_data=True)
    assert state.keys() == ["kennel/data/dogs-0123456789/a.jpg", f"kennel/runs/{SECOND}/output/1"]
    assert s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []
    assert state.account.client("logs").describe_log_groups()["logGroups"] == []


def test_every_version_of_an_object_goes(state: State) -> None:
    s3 = state.account.client("s3")
    s3.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    for _ in range(2):
        state.put(f"kennel/runs/{FIRST}/output/x", 10)
    s3.delete_object(Bucket=BUCKET, Key=f"kennel/runs/{FIRST}/output/x")
    remove(state, FIRST, with_data=True)
    left = s3.list_object_versions(Bucket=BUCKET)
    assert left.get("Versions", []) + left.get("DeleteMarkers", []) == []


def test_more_objects_than_a_request_may_name_go(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backends.sagemaker.resources.storage.AT_ONCE", 2)
    for number in range(5):
        state.put(f"kennel/runs/{FIRST}/output/{number}", 1)
    remove(state, FIRST, with_data=True)
    assert state.keys() == []
    assert state.changes() == ["DeleteObjects"] * 3


def test_objects_of_a_killed_upload_go_by_the_name_alone(state: State) -> None:
    state.put(f"kennel/runs/{FIRST}/model/model.tar.gz", 10)
    remove(state, "first", with_data=True)
    assert state.keys() == []


def test_one_thing_goes_by_its_own_name(state: State) -> None:
    state.put("kennel/data/dogs-0123456789/a.jpg", 10)
    state.put("kennel/data/cats-0123456789/a.jpg", 10)
    assert plan_removal(state.account, f"s3://{BUCKET}/kennel/data/dogs-0123456789") == []
    remove(state, f"s3://{BUCKET}/kennel/data/dogs-0123456789", with_data=True)
    assert state.keys() == ["kennel/data/cats-0123456789/a.jpg"]


def test_model_packages_are_no_runs_and_go_by_name(state: State) -> None:
    state.package("one")
    # moto has no call for it.
    state.sagemaker.meta.events.register("before-call.sagemaker.DeleteModelPackage", lambda **_: answer({}))
    remove(state, "kennel/1", with_data=True)
    arn = "arn:aws:sagemaker:us-east-1:123456789012:model-package/kennel/1"
    assert state.calls == [("DeleteModelPackage", {"ModelPackageName": arn})]


def test_what_a_run_has_attached_to_goes_by_what_it_noted(state: State) -> None:
    state.endpoint(SECOND, steps=3)
    record = {**RUN.record, "attached": True, "sagemaker": {"name": SECOND, "endpoint": SECOND}}
    assert [each.kind for each in plan_removal(state.account, Run(RUN.path, record))] == [
        "endpoint", "endpoint configuration", "model",
    ]  # fmt: skip


def test_all_of_an_account_can_go(state: State) -> None:
    state.endpoint(FIRST)
    state.endpoint(SECOND)
    state.put("kennel/data/dogs-0123456789/a.jpg", 10)
    delete_resources(state.account, list_resources(state.account))
    assert list_resources(state.account) == []
    assert state.left() == {}
    assert state.keys() == []
