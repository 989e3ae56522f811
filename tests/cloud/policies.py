"""Every call of AWS that Kennel makes in a test has to be one that docs/iam allows: a fixture for all tests of a room.

A room's conftest.py imports `within_policy`, and its tests then fail for a call beyond the policies.
"""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from types import FrameType
from typing import Any

import pytest
from botocore.client import BaseClient

from tests.cloud.iam.needs import needs
from tests.cloud.iam.policy import FILLED, Need, Statement, allows, read

# What a person who runs Kennel has: the second matters only with a key of one's own.
PERSON = ("person.json", "person-kms.json")


@dataclass(frozen=True)
class Call:
    """A call of a client: service as in boto3.client(service), operation as in CreateTrainingJob."""

    service: str
    operation: str
    parameters: dict[str, Any]


@cache
def person() -> tuple[Statement, ...]:
    """The statements of the person's policies."""
    return tuple(statement for name in PERSON for statement in read(name))


def beyond(call: Call) -> list[str]:
    """What a call wants and the person's policies don't allow."""
    return [str(need) for need in needs(call.service, call.operation, call.parameters) if not _met(need)]


def _met(need: Need) -> bool:
    return allows(person(), Need(need.action, _filled(need.resource), need.context))


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
    if request.node.get_closest_marker("beyond_policy"):
        return
    if refused := {f"{each.operation}: {what}" for each in seen for what in beyond(each)}:
        pytest.fail("\n".join(["docs/iam doesn't allow what this test did:", *sorted(refused)]), pytrace=False)
