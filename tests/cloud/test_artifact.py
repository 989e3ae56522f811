"""An artifact's folder as model.tar.gz in S3."""

import hashlib
import io
import os
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest

from backends.errors import BackendError
from backends.sagemaker.account import Account
from backends.sagemaker.storage.artifact import pack_artifact, read_artifact, upload_artifact
from tests.cloud.conftest import BUCKET, settings
from tests.cloud.endpoint_cases import DIGEST_OF_ARTIFACT, account_of, make_artifact
from tests.cloud.simulator.server import Simulator

URL = f"s3://{BUCKET}/kennel/models/{DIGEST_OF_ARTIFACT}/model.tar.gz"


def test_the_archive_holds_the_files_and_nothing_of_this_machine(tmp_path: Path) -> None:
    pack_artifact(read_artifact(make_artifact(tmp_path / "one")), tmp_path / "one.tar.gz")
    with tarfile.open(tmp_path / "one.tar.gz") as tar:
        members = tar.getmembers()
        assert tar.extractfile("model.safetensors").read() == b"weights\n"  # type: ignore[union-attr]
    assert [member.name for member in members] == ["kennel.json", "model.safetensors", "openvino/model.xml"]
    assert {(m.mtime, m.uid, m.gid, m.uname, m.gname, m.mode) for m in members} == {(0, 0, 0, "", "", 0o644)}


def test_the_same_content_gives_the_same_bytes(tmp_path: Path) -> None:
    digests = []
    for name in ("one", "two"):
        folder = make_artifact(tmp_path / name)
        os.utime(folder / "kennel.json", (1, 1))
        (folder / "model.safetensors").chmod(0o600)
        pack_artifact(read_artifact(folder), tmp_path / f"{name}.tar.gz")
        digests.append(hashlib.sha256((tmp_path / f"{name}.tar.gz").read_bytes()).hexdigest())
    assert digests[0] == digests[1]


def test_the_digest_is_of_names_and_bytes(tmp_path: Path) -> None:
    content = read_artifact(make_artifact(tmp_path / "one"))
    assert content.digest.startswith(DIGEST_OF_ARTIFACT)
    assert content.size == 3 + 8 + 7
    (tmp_path / "one" / "model.safetensors").write_bytes(b"weight2\n")
    assert not read_artifact(tmp_path / "one").digest.startswith(DIGEST_OF_ARTIFACT)


def test_what_was_being_written_stays_behind(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "one")
    (folder / ".forms-x").mkdir()
    (folder / ".forms-x" / "model.bin").write_text("half")
    (folder / ".kennel.json.tmp").write_text("half")
    assert read_artifact(folder).digest.startswith(DIGEST_OF_ARTIFACT)


def test_a_link_leads_to_the_artifact_and_none_leads_out_of_it(tmp_path: Path) -> None:
    folder = make_artifact(tmp_path / "one")
    (tmp_path / "link").symlink_to(folder)
    assert read_artifact(tmp_path / "link").digest.startswith(DIGEST_OF_ARTIFACT)
    (folder / "secret").symlink_to("/etc/passwd")
    with pytest.raises(BackendError, match="secret is no regular file"):
        read_artifact(folder)


def test_a_folder_without_a_manifest_is_no_artifact(tmp_path: Path) -> None:
    with pytest.raises(BackendError, match=r"no kennel.json.*ml/model"):
        read_artifact(tmp_path)


def test_each_content_is_sent_once(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    folder, scratch = make_artifact(tmp_path / "one"), tmp_path / "scratch"
    scratch.mkdir()
    assert upload_artifact(account, folder, scratch).url == URL
    with tarfile.open(fileobj=io.BytesIO(cloud.objects.read(URL))) as tar:
        assert len(tar.getnames()) == 3
    assert upload_artifact(account, make_artifact(tmp_path / "two"), scratch).url == URL
    assert len(cloud.requests("PutObject")) == 1
    assert list(scratch.iterdir()) == []
    (folder / "model.safetensors").write_bytes(b"weight2\n")
    assert upload_artifact(account, folder, scratch).url != URL
    assert len(cloud.requests("PutObject")) == 2


def test_an_object_of_another_content_is_replaced(cloud: Simulator, account: Account, tmp_path: Path) -> None:
    cloud.objects.write(URL, b"half an upload by somebody else")
    upload_artifact(account, make_artifact(tmp_path / "one"), tmp_path)
    with tarfile.open(fileobj=io.BytesIO(cloud.objects.read(URL))) as tar:
        assert len(tar.getnames()) == 3


@pytest.mark.beyond_policy("another prefix than kennel")
def test_it_is_encrypted_with_the_key_of_the_settings(cloud: Simulator, tmp_path: Path) -> None:
    chosen = settings()
    key = "arn:aws:kms:eu-west-1:123456789012:key/1"
    account = account_of(replace(chosen, sagemaker=replace(chosen.sagemaker, kms_key=key, prefix="kennel/dogs/")))
    place = upload_artifact(account, make_artifact(tmp_path / "one"), tmp_path)
    assert place.url == f"s3://{BUCKET}/kennel/dogs/models/{DIGEST_OF_ARTIFACT}/model.tar.gz"
    (request,) = cloud.requests("PutObject")
    assert (request["ServerSideEncryption"], request["SSEKMSKeyId"]) == ("aws:kms", key)


def test_a_refusal_of_s3_is_a_sentence_and_leaves_no_archive(
    cloud: Simulator, account: Account, tmp_path: Path
) -> None:
    folder, scratch = make_artifact(tmp_path / "one"), tmp_path / "scratch"
    scratch.mkdir()
    cloud.fail("PutObject", "AccessDenied", "Access Denied", status=403, times=9)
    with pytest.raises(BackendError, match="may not do PutObject"):
        upload_artifact(account, folder, scratch)
    assert list(scratch.iterdir()) == []
