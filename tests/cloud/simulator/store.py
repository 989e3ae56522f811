"""What the account holds of SageMaker's resources, with what Describe and List say of them."""

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from threading import RLock
from typing import Any, Final

from tests.cloud.simulator.kinds import KINDS, Kind, answer_members

ACCOUNT: Final = "123456789012"
REGION: Final = "eu-west-1"


class Fault(Exception):
    """What the service refuses a request with."""

    def __init__(self, code: str, message: str, status: int = 400, **more: Any) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status
        self.more = more


def pairs(tags: list[dict[str, str]] | None) -> dict[str, str]:
    """Tags as the API lists them, by key."""
    return {each["Key"]: each["Value"] for each in tags or []}


@dataclass
class Resource:
    """request: as it was created. fields: what Describe tells besides, the status among it."""

    kind: Kind
    name: str
    arn: str
    request: dict[str, Any]
    fields: dict[str, Any] = field(default_factory=dict)
    tags: dict[str, str] = field(default_factory=dict)
    created: float = field(default_factory=time.time)

    @property
    def status(self) -> str:
        return str(self.fields.get(self.kind.status_key, ""))

    def update(self, **fields: Any) -> None:
        """Change what Describe tells."""
        self.fields.update(fields, LastModifiedTime=time.time())

    def move(self, status: str, **fields: Any) -> None:
        """To another status."""
        self.update(**{self.kind.status_key: status}, **fields)

    def known(self) -> dict[str, Any]:
        """All that may be told of it, under the API's names."""
        identity = {self.kind.key: self.name, self.kind.arn_key: self.arn, "CreationTime": self.created}
        return {"LastModifiedTime": self.created, **self.request, **identity, **self.fields}

    def describe(self) -> dict[str, Any]:
        members = answer_members(f"Describe{self.kind.noun}")
        return {key: value for key, value in self.known().items() if key in members}


class Store:
    """All resources by kind and name. Every use of it is under its lock."""

    def __init__(self) -> None:
        self.lock = RLock()
        self._held: dict[str, dict[str, Resource]] = {noun: {} for noun in KINDS}

    def add(self, kind: Kind, name: str, request: Mapping[str, Any], **fields: Any) -> Resource:
        """Raises Fault when there is one of that name."""
        held = self._held[kind.noun]
        arn = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:{kind.path}/{name}"
        if name in held:
            raise Fault(kind.in_use, f'Cannot create already existing {kind.path} "{arn}".')
        resource = Resource(kind, name, arn, dict(request), dict(fields), pairs(request.get("Tags")))
        held[name] = resource
        return resource

    def get(self, noun: str, name: str) -> Resource:
        """By name, or by ARN. Raises Fault when there is none."""
        kind = KINDS[noun]
        found = self._held[noun].get(name.rpartition(f":{kind.path}/")[2])
        if found is None:
            raise Fault(kind.missing, kind.fault(name))
        return found

    def find(self, noun: str, name: str) -> Resource | None:
        return self._held[noun].get(name)

    def remove(self, resource: Resource) -> None:
        self._held[resource.kind.noun].pop(resource.name, None)

    def by_arn(self, arn: str) -> Resource:
        for resource in self:
            if resource.arn == arn:
                return resource
        raise Fault("ValidationException", f"Could not find a resource with the ARN {arn}.")

    def of(self, noun: str) -> list[Resource]:
        """Oldest first."""
        return sorted(self._held[noun].values(), key=lambda each: each.created)

    def __iter__(self) -> Iterator[Resource]:
        for held in self._held.values():
            yield from list(held.values())
