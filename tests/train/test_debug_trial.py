"""Reading tensors folders: whole, growing, of several workers, damaged, or none at all."""

import json
import os
import subprocess
import sys
from pathlib import Path

import boto3
import numpy as np
import pytest
from moto import mock_aws

from contract.errors import TensorsError
from monitor.debugger import events
from monitor.debugger.events import read_tensor
from monitor.debugger.reader import SavedStep, Tensors
from tests.train.sick import Folder, reduced, write

ROOT = Path(__file__).resolve().parents[2]


def numbers(steps: list[SavedStep]) -> list[int]:
    return [step.number for step in steps]


def test_a_step_tells_what_was_saved(tmp_path: Path) -> None:
    weight = np.array([[1.0, -3.0], [0.0, 2.0]])
    folder = Folder(tmp_path).train(loss=2.5, Net_weight=weight).valid(loss=[1.0, 2.0])
    folder.train(**{"gradient/Net_weight": weight, "Net_bias": [0.5]})
    first, second, third = Tensors(tmp_path).poll()
    assert [(step.number, step.mode, step.mode_step) for step in (first, second, third)] == [
        (0, "TRAIN", 0), (1, "EVAL", 0), (2, "TRAIN", 1),
    ]  # fmt: skip
    assert first.names("losses") == ["CrossEntropyLoss_output_0"]
    assert first.names("losses", "weights") == ["CrossEntropyLoss_output_0", "Net_weight"]
    assert (third.names("weights"), third.names("gradients")) == ([], ["gradient/Net_weight"])
    assert third.matching("^Net|weight$") == ["Net_bias", "gradient/Net_weight"]
    assert np.array_equal(np.asarray(first.value("Net_weight")), weight)
    assert first.value("Net_bias") is None
    assert first.shape("Net_weight") == (2, 2)
    assert second.reduction("CrossEntropyLoss_output_0", "mean") == 1.5
    assert first.time is not None
    assert abs(first.time - (tmp_path / "events").stat().st_mtime) < 60
    # Of 1, -3, 0, 2: mean 0, of absolute values 6 / 4; variance (1 + 9 + 0 + 4) / 4.
    expected = {"min": -3, "max": 2, "mean": 0, "variance": 3.5, "std": 3.5**0.5, "l1": 6, "l2": 14**0.5}
    assert {kind: first.reduction("Net_weight", kind) for kind in expected} == pytest.approx(expected)
    assert first.reduction("Net_weight", "mean", absolute=True) == 1.5
    assert first.reduction("Net_bias", "mean") is None


def test_reductions_stand_for_a_tensor_that_was_not_saved(tmp_path: Path) -> None:
    Folder(tmp_path).save("TRAIN", reduced("Net_weight", [1.0, -3.0, 0.0, 2.0]) | reduced("Net_bias", [1.0, 2.0]))
    (step,) = Tensors(tmp_path).poll()
    assert step.names("weights", "biases") == ["Net_bias", "Net_weight"]
    assert step.value("Net_weight") is None
    assert step.shape("Net_weight") is None
    assert step.reduction("Net_weight", "max") == 2
    assert step.reduction("Net_weight", "mean", absolute=True) == 1.5
    assert step.reduction("Net_weight", "max", absolute=True) == 3  # of min -3 and max 2
    assert step.reduction("Net_weight", "variance") == pytest.approx(3.5)  # of std
    assert step.reduction("Net_weight", "l2", absolute=True) == pytest.approx(14**0.5)
    assert step.reduction("Net_weight", "l1") is None  # can't be told


def test_what_is_no_number_stays_so(tmp_path: Path) -> None:
    nan = float("nan")
    Folder(tmp_path).save("TRAIN", {"a": [1.0, nan], "smdebug/reductions/max/b": nan, "smdebug/reductions/min/b": 1.0})
    (step,) = Tensors(tmp_path).poll()
    for name in ("a", "b"):
        assert np.isnan(step.reduction(name, "max") or 0.0)


def test_a_folder_that_grows(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    tensors = Tensors(tmp_path)
    assert (tensors.poll(), tensors.ended) == ([], False)
    folder.train(loss=1.0).train(loss=0.9)
    assert numbers(tensors.poll()) == [0, 1]
    assert tensors.poll() == []
    folder.save("TRAIN", {"loss": 0.5}, number=40)  # the steps between weren't saved
    assert numbers(tensors.poll()) == [40]
    (tmp_path / "training_job_end.ts").touch()
    assert (tensors.poll(), tensors.ended) == ([], True)


def test_an_index_file_is_read_once_and_an_event_file_once_a_step(tmp_path: Path) -> None:
    folder = Folder(tmp_path).train(a=[1.0], b=[2.0])
    tensors = Tensors(tmp_path)
    (step,) = tensors.poll()
    (index,) = (tmp_path / "index").rglob("*.json")
    index.write_text("{")  # would be noted if it were read again
    assert step.reduction("a", "mean") == 1
    (event,) = (tmp_path / "events").rglob("*.tfevents")
    event.unlink()
    assert step.reduction("b", "mean") == 2
    folder.train(a=[3.0])
    assert numbers(tensors.poll(final=True)) == [1]
    assert tensors.notes == []


def test_names_that_join_a_collection_later(tmp_path: Path) -> None:
    folder = Folder(tmp_path, {"mine": []}).train(special=[1.0])
    tensors = Tensors(tmp_path)
    (step,) = tensors.poll()
    assert step.names("mine") == []
    (file,) = (tmp_path / "collections").rglob("*.json")
    content = json.loads(file.read_text())
    content["collections"]["mine"]["tensor_names"] = ["special"]
    file.write_text(json.dumps(content))
    folder.train(special=[1.0])
    (step,) = tensors.poll()
    assert step.names("mine") == ["special"]
    assert tensors.collections["mine"].names == {"special"}


def test_a_step_waits_for_all_workers_or_a_later_step(tmp_path: Path) -> None:
    folder = Folder(tmp_path, workers=2)
    tensors = Tensors(tmp_path)
    folder.save("TRAIN", {"a": [1.0]}, worker=0, number=0)
    assert tensors.poll() == []
    folder.save("TRAIN", {"a": [5.0], "b": [6.0]}, worker=1, number=0)
    (step,) = tensors.poll()
    assert (step.reduction("a", "mean"), step.reduction("b", "mean")) == (1, 6)  # the first worker's counts
    folder.save("TRAIN", {"a": [1.0]}, worker=0, number=1)
    folder.save("TRAIN", {"a": [1.0]}, worker=0, number=2)
    assert tensors.poll() == []
    folder.save("TRAIN", {"a": [1.0]}, worker=1, number=2)
    assert numbers(tensors.poll()) == [1, 2]
    folder.save("TRAIN", {"a": [1.0]}, worker=1, number=1)
    assert tensors.poll() == []
    folder.save("TRAIN", {"a": [1.0]}, worker=0, number=3)
    assert tensors.poll() == []
    assert numbers(tensors.poll(final=True)) == [3]


def test_a_damaged_folder_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    folder = Folder(tmp_path)
    for step in range(4):
        folder.train(a=np.ones(50), b=[float(step)])
    index = sorted((tmp_path / "index").rglob("*.json"))
    event = sorted((tmp_path / "events").rglob("*.tfevents"))
    index[1].write_text(index[1].read_text()[:30])
    event[2].write_bytes(event[2].read_bytes()[:120])
    event[3].unlink()
    tensors = Tensors(tmp_path)
    assert numbers(tensors.poll()) == [0, 2]  # the others may still be on their way
    assert tensors.notes == []
    assert tensors.poll(final=True) == []
    assert [note.split(str(tmp_path))[-1].split("/")[-1] for note in tensors.notes] == [
        "000000000001_worker_0.json isn't an intact index file",
        "step 3 isn't judged: its event file is missing",
    ]
    (_, cut) = Tensors(tmp_path).poll()
    assert (cut.value("a"), cut.reduction("b", "mean")) == (None, None)


def test_a_folder_without_a_collections_file_is_read_by_its_names(tmp_path: Path) -> None:
    tensors = {
        "gradient/dense/kernel": [1.0], "dense/kernel": [1.0], "dense/bias": [1.0], "loss": [1.0],
        "update_ratio/fc.weight": [1.0], "relu_active_share/relu": [1.0],
    }  # fmt: skip
    Folder(tmp_path).save("GLOBAL", tensors)
    for file in (tmp_path / "collections").rglob("*.json"):
        file.unlink()
    (step,) = Tensors(tmp_path).poll()
    names = ("gradients", "weights", "biases", "losses", "update_ratios", "relu_active_share", "no_such_collection")
    assert [step.names(name) for name in names] == [
        ["gradient/dense/kernel"], ["dense/kernel"], ["dense/bias"], ["loss"], ["update_ratio/fc.weight"],
        ["relu_active_share/relu"], [],
    ]  # fmt: skip


def test_what_is_no_tensors_folder_is_told_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(TensorsError, match="holds no saved tensors: there is no such folder; give the folder"):
        Tensors(tmp_path / "nowhere")
    (tmp_path / "model.pth").touch()
    with pytest.raises(TensorsError, match="no collections and no index in it; give the folder, or s3:// URL") as told:
        Tensors(tmp_path)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16", "int32", "int64", "uint8", "bool"])
def test_a_record_decodes_as_smdebug_decodes_it(tmp_path: Path, dtype: str) -> None:
    value = np.arange(300).reshape(3, 100, 1).astype(dtype)
    write(tmp_path, {"name": value}, time=1234.5)
    (file,) = tmp_path.rglob("*.tfevents")
    (index,) = tmp_path.rglob("*.json")
    (entry,) = json.loads(index.read_text())["tensor_payload"]
    record = file.read_bytes()[entry["start_idx"] : entry["start_idx"] + entry["length"]]
    decoded = events.decode(record)
    assert decoded is not None
    assert decoded.dtype == dtype
    assert np.array_equal(decoded, value)
    assert np.array_equal(read_tensor(record), value)
    assert events.wall_time(record) == 1234.5
    assert events.decode(record[:40]) is None


def test_reading_imports_no_torch_and_says_nothing(tmp_path: Path) -> None:
    Folder(tmp_path).train(loss=1.0)
    code = (
        "import sys\n"
        "from monitor.rules import RULE_MODULES, rule_class\nfrom monitor.debugger.reader import Tensors\n"
        "(step,) = Tensors(sys.argv[1]).poll()\nassert step.reduction('CrossEntropyLoss_output_0', 'mean') == 1\n"
        "classes = [rule_class(name) for name in RULE_MODULES]\n"
        "assert 'torch' not in sys.modules and len(classes) == 27\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SMDEBUG")}
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment["TRAINING_JOB_NAME"] = "job"
    result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stdout, result.stderr) == (0, "", "")


def test_an_s3_url_is_read_as_a_folder_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_REGION": "eu-west-1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    folder = Folder(tmp_path).train(loss=2.0, Net_weight=[1.0, 3.0])
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket="kennel", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"})

        def upload() -> None:
            for file in tmp_path.rglob("*.*"):
                client.upload_file(str(file), "kennel", f"job/debug-output/{file.relative_to(tmp_path).as_posix()}")

        upload()
        tensors = Tensors("s3://kennel/job/debug-output")
        (step,) = tensors.poll()
        assert (step.names("weights"), step.reduction("Net_weight", "mean")) == (["Net_weight"], 2)
        folder.train(loss=1.0)
        upload()
        assert numbers(tensors.poll()) == [1]
        assert tensors.ended is False
        with pytest.raises(TensorsError, match="s3://kennel/nothing holds no saved tensors"):
            Tensors("s3://kennel/nothing")
        with pytest.raises(TensorsError, match="s3://nowhere/at-all"):
            Tensors("s3://nowhere/at-all")
