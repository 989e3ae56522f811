"""The simulated jobs' own way to S3: folders from prefixes, and back."""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.cloud.simulator.store import Fault


def split(url: str) -> tuple[str, str]:
    """(bucket, key) of s3://BUCKET/KEY."""
    bucket, _, key = url.removeprefix("s3://").partition("/")
    return bucket, key


class Objects:
    """S3, by a client whose requests aren't recorded."""

    def __init__(self, client: Any) -> None:
        self.client = client

    def read(self, url: str) -> bytes:
        """Raises Fault when there is no such object."""
        bucket, key = split(url)
        try:
            data: bytes = self.client.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.client.exceptions.ClientError as error:
            raise Fault("ValidationException", f"Could not find {url}: {error}") from error
        return data

    def write(self, url: str, data: bytes) -> None:
        bucket, key = split(url)
        self.client.put_object(Bucket=bucket, Key=key, Body=data)

    def keys(self, bucket: str, prefix: str) -> Iterator[str]:
        """In order; folders' own empty objects are left out. Raises Fault for a bucket that isn't there."""
        try:
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
                yield from (each["Key"] for each in page.get("Contents", []) if not each["Key"].endswith("/"))
        except self.client.exceptions.ClientError as error:
            raise Fault("ValidationException", f"Could not access S3 bucket {bucket}: {error}") from error

    def listed(self, data_type: str, url: str) -> list[tuple[str, str]]:
        """(URL, path relative to the prefix) of every object that a data source names."""
        if data_type == "ManifestFile":
            return self._in_manifest(url)
        bucket, prefix = split(url)
        folder = prefix if prefix.endswith("/") or not prefix else f"{prefix}/"
        inside = list(self.keys(bucket, folder))
        if not inside:
            # A prefix is no folder: it may be an object's key, or the beginning of some.
            folder, inside = prefix.rpartition("/")[0] + "/", list(self.keys(bucket, prefix))
        return [(f"s3://{bucket}/{key}", key.removeprefix(folder)) for key in inside]

    def _in_manifest(self, url: str) -> list[tuple[str, str]]:
        import json

        first, *rest = json.loads(self.read(url))
        return [(f"{first['prefix']}{name}", name) for name in rest]

    def fetch(self, data_type: str, url: str, folder: Path, share: tuple[int, int] = (0, 1)) -> int:
        """Download what a data source names below `folder`; returns how many. share: (which of, how many hosts)."""
        found = self.listed(data_type, url)[share[0] :: share[1]]
        for source, inside in found:
            file = folder / inside
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(self.read(source))
        return len(found)

    def store(self, folder: Path, url: str) -> None:
        """Upload every file of the folder below the URL."""
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                self.write(f"{url.rstrip('/')}/{file.relative_to(folder).as_posix()}", file.read_bytes())

    def store_archive(self, folder: Path, url: str) -> None:
        """Upload the folder's content as one .tar.gz."""
        archive = folder.parent / f".{folder.name}.tar.gz"
        with tarfile.open(archive, "w:gz", compresslevel=0) as tar:
            for each in sorted(folder.iterdir()):
                tar.add(each, each.name)
        bucket, key = split(url)
        self.client.upload_file(str(archive), bucket, key)
        archive.unlink()

    def unpack(self, url: str, folder: Path) -> None:
        """Download a .tar.gz and unpack it as SageMaker does. Raises Fault when there is none."""
        import io

        folder.mkdir(parents=True, exist_ok=True)
        with tarfile.open(fileobj=io.BytesIO(self.read(url)), mode="r:gz") as tar:
            tar.extractall(folder, filter="data")


class Mirror:
    """A folder that is kept in S3 while a job runs: what changed since the last time goes there."""

    def __init__(self, objects: Objects, folder: Path, url: str) -> None:
        self._objects, self._folder, self._url = objects, folder, url.rstrip("/")
        self._seen: dict[str, tuple[int, int]] = {}

    def update(self) -> None:
        for file in sorted(self._folder.rglob("*")):
            try:
                state = file.stat()
                known = (state.st_mtime_ns, state.st_size)
                name = file.relative_to(self._folder).as_posix()
                if file.is_file() and self._seen.get(name) != known:
                    self._objects.write(f"{self._url}/{name}", file.read_bytes())
                    self._seen[name] = known
            except FileNotFoundError:
                continue  # a temporary file, renamed meanwhile
