"""Every call of AWS that Kennel makes in a test has to be one that docs/iam allows: a fixture for all tests of a room.

A room's conftest.py imports `within_policy`, and its tests then fail for a call beyond the policies.
"""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.cloud.iam.lent import lent_needs
from tests.cloud.iam.needs import needs
from tests.cloud.iam.policy import FILLED, Need, Statement, allows, read

# What a person who runs Kennel has: the second matters only with a key of one's own.
PERSON = ("person.json", "person-kms.json")
LENT = ("execution-role.json", "execution-role-kms.json", "execution-role-vpc.json")


@dataclass(frozen=True)
class Call:
    """A call of a client: service as in boto3.client(service), operation as in CreateTrainingJob."""

    service: str
    operation: str
    parameters: dict[str, Any]


@cache
def statements(*names: str) -> tuple[Statement, ...]:
    """Those of several files together."""
    return tuple(statement for name in names for statement in read(name))


def beyond(call: Call) -> list[str]:
    """What a call wants of the person, or its job of the execution role, and the policies don't allow."""
    found = [need for need in needs(call.service, call.operation, call.parameters) if not _met(PERSON, need)]
    lent = lent_needs(call.parameters) if call.service == "sagemaker" and call.operation.startswith("Create") else []
    return [*map(str, found), *(f"{need} (the execution role)" for need in lent if not _met(LENT, need))]


def _met(policies: tuple[str, ...], need: Need) -> bool:
    return allows(statements(*policies), Need(need.action, _filled(need.resource), need.context))


def _filled(resource: str) -> str:
    """Tests have buckets of many names, and the policies one: the person's own."""
    if not resource.startswith("arn:aws:s3:::"):
        return resource
    _, slash, key = resource.removeprefix("arn:aws:s3:::").partition("/")
    return f"arn:aws:s3:::{FILLED['BUCKET']}{slash}{key}"


def by_kennel(client: Any) -> bool:
    """Whether Kennel's code is calling, and not a test: of those two, the one that is nearer.

    In a thread of boto3's own, where neither is to be seen, Kennel's clients are known by what they call themselves.
    """
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        name = str(frame.f_globals.get("__name__", ""))
        if name.startswith("backends.") or name == "deploy":
            return True
        if name.startswith("tests.") and name != __name__:
            return False
        frame = frame.f_back
    return bool(client.meta.config.user_agent_extra == "kennel")


@pytest.fixture(autouse=True)
def within_policy(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Iterator[list[Call]]:
    """The calls that Kennel makes; afterwards the test fails if one of them isn't allowed, unless it is marked."""
    seen: list[Call] = []
    real = BaseClient._make_api_call

    def call(self: Any, operation_name: str, api_params: dict[str, Any]) -> Any:
        if by_kennel(self):
            seen.append(Call(self.meta.service_model.service_name, operation_name, dict(api_params)))
        return real(self, operation_name, api_params)

    monkeypatch.setattr(BaseClient, "_make_api_call", call)
    yield seen
    hold(seen, request)


def hold(seen: Iterable[Call], request: pytest.FixtureRequest) -> None:
    """Fail the test if one of the calls isn't allowed, unless the test is marked."""
    if request.node.get_closest_marker("beyond_policy"):
        return
    if refused := {f"{each.operation}: {what}" for each in seen for what in beyond(each)}:
        pytest.fail("\n".join(["docs/iam doesn't allow what this test did:", *sorted(refused)]), pytrace=False)
