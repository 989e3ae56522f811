"""What every backend must do, as one suite. A subclass gives the fixtures `backend` and `data`.

`MachineContract` has what only jobs of this machine can do besides.
"""

import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from backends import client
from backends.base import WHOLE_MACHINE, Backend, JobProgress, MachineSlot
from backends.cancel import CancelToken
from backends.errors import BackendError, Stopped
from backends.inputs import parse_hyperparameters
from backends.jobs import deploy_artifact, refresh, stop_run, train_run
from backends.runs import Run, all_runs, create_run, find_artifact, load_run, trials_of
from backends.search.request import SearchRequest
from backends.search.results import read_search
from backends.search.tune import create_tuning, search_in
from backends.transform.inputs import LocalImages
from backends.transform.job import OwnServer, TransformRequest, transform
from backends.transform.summary import read_artifact

TINY = {"pretrained": "none", "image_size": "32", "epochs": "2", "export": "none"}
LABELS = {"Red dog", "Green dog", "Blue dog"}


class BackendContract:
    """One trained run and one deployment are shared by the tests of a class."""

    # What a transform leaves: a server that it has ended, or a job of its own.
    transformed: ClassVar = ("deployment", "stopped")

    @pytest.fixture(scope="class")
    @classmethod
    def trained(cls, backend: Backend, data: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
        runs = tmp_path_factory.mktemp("runs")
        return train_run(backend, runs, data, parse_hyperparameters(TINY), "first")

    @pytest.fixture(scope="class")
    @classmethod
    def endpoint(cls, backend: Backend, trained: Run) -> Iterator[Run]:
        run = deploy_artifact(backend, trained.path.parent, trained.artifact, client.choose_port(0), None)
        yield run
        stop_run(backend, run)

    def test_checks_data(self, backend: Backend, data: Path, tmp_path: Path) -> None:
        seen: list[JobProgress] = []
        report = tmp_path / "new" / "data.json"
        backend.check_data(data, report, seen.append)
        assert json.loads(report.read_text())["images"] == {"train": 36, "valid": 12, "test": 12}
        assert seen[-1].phase == "checking images"
        assert (seen[-1].done, seen[-1].total) == (60, 60)
        assert [path.name for path in report.parent.iterdir()] == ["data.json"]

    def test_trains_into_the_run_folder(self, trained: Run) -> None:
        assert load_run(trained.path).status == "completed"
        assert (trained.artifact / "model.safetensors").is_file()
        assert 0 <= trained.record["metrics"]["test_accuracy"] <= 1
        assert "epoch=2; train_loss=" in trained.log.read_text()
        owners = {path.lstat().st_uid for path in trained.path.rglob("*")}
        assert owners == {os.getuid()}

    def test_a_users_fault_is_the_jobs_own_sentence(self, backend: Backend, data: Path, tmp_path: Path) -> None:
        photos = tmp_path / "photos"
        (photos / "dog").mkdir(parents=True)
        (photos / "dog" / "1.jpg").write_bytes((data / "train" / "001.Red_dog" / "0.jpg").read_bytes())
        with pytest.raises(BackendError, match="holds one class"):
            train_run(backend, tmp_path / "runs", photos, parse_hyperparameters(TINY), "one")
        record = load_run(tmp_path / "runs" / "one").record
        assert record["status"] == "failed"
        assert "holds one class" in record["reason"]

    def slot(self) -> MachineSlot:
        """What of the machine a training may use."""
        return WHOLE_MACHINE

    def check_slot(self, backend: Backend, run: Run) -> None:
        """See that it used no more."""

    def test_a_training_can_be_stopped_from_any_thread(self, backend: Backend, data: Path, tmp_path: Path) -> None:
        run = create_run(tmp_path, "training", "cut", backend=backend.name, hyperparameters={})
        above = CancelToken()
        own = CancelToken(above)
        caught: list[BaseException] = []

        def watch(progress: JobProgress) -> None:
            # Made twice, it would mean that nobody waits for the end.
            if "validation_loss" in progress.metrics and not own.requested:
                own.request()

        def work() -> None:
            endless = parse_hyperparameters({**TINY, "epochs": "10000", "debug": "off", "profile": "off"})
            try:
                backend.train(run, data, endless, watch, self.slot(), own)
            except Stopped as stopped:
                caught.append(stopped)

        before = os.sched_getaffinity(0)
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert len(caught) == 1
        assert own.own
        assert not above.requested
        assert os.sched_getaffinity(0) == before
        self.check_slot(backend, run)
        # The best epoch is kept.
        assert run.read_json("ml/model/kennel.json")["provenance"]["completed"] is False
        assert not backend.is_alive(run)

    def check_trials(self, trials: list[Run]) -> None:
        """See what there is of a search's trials besides the best."""

    @pytest.mark.long
    def test_searches_and_writes_the_page(self, backend: Backend, data: Path, tmp_path: Path) -> None:
        values = {**TINY, "freeze": "backbone", "tune_trials": "2", "tune_space": "lr=0.001:0.1:log"}
        request = SearchRequest(data, parse_hyperparameters(values))
        run = create_tuning(backend, tmp_path, request, "search")
        search_in(backend, run, request)
        record = load_run(run.path).record
        assert (record["kind"], record["status"], record.get("image", "")) == ("tuning", "completed", backend.image)
        trials = {trial.name: trial for trial in trials_of(run)}
        assert record["best"] in ("search-trial-001", "search-trial-002")
        best = trials[record["best"]]
        assert best.status == "completed"
        assert find_artifact(tmp_path, "search") == best.artifact
        rows = {row["number"]: row["metrics"] for row in read_search(run)["trials"]}
        assert sorted(rows) == [1, 2]
        assert best.record["metrics"]["validation_accuracy"] == pytest.approx(
            max(row["validation_accuracy"] for row in rows.values()), abs=1e-4
        )
        self.check_trials(list(trials.values()))
        assert "</html>" in (run.ml / "output" / "data" / "tuning-report.html").read_text()
        assert {path.lstat().st_uid for path in tmp_path.rglob("*")} == {os.getuid()}

    def test_evaluates_to_what_training_measured(
        self, backend: Backend, trained: Run, data: Path, tmp_path: Path
    ) -> None:
        report = tmp_path / "evaluation.json"
        backend.evaluate(trained.artifact, data, report, lambda _: None)
        theirs = trained.read_json("ml/output/data/evaluation.json")
        mine = json.loads(report.read_text())
        assert mine["n"] == 12
        assert sorted(path.name for path in tmp_path.iterdir()) == ["evaluation.html", "evaluation.json"]
        page = (tmp_path / "evaluation.html").read_text()
        assert "<h1>Evaluation</h1>" in page
        assert all(label in page for label in LABELS)
        assert mine["accuracy"] == theirs["accuracy"]
        assert mine["loss"] == pytest.approx(theirs["loss"], abs=1e-4)

    def test_compares_with_a_baseline(self, backend: Backend, trained: Run, data: Path, tmp_path: Path) -> None:
        report = tmp_path / "new" / "comparison.json"
        backend.evaluate(trained.artifact, data, report, lambda _: None, trained.artifact)
        mine = json.loads(report.read_text())
        # The same artifact twice: nothing is fixed or broken, so chance explains it all.
        assert (mine["n"], mine["difference"], mine["mcnemar"]["p_value"]) == (12, 0, 1)
        assert mine["verdict"].startswith("no evidence of a difference (p = 1)")
        assert sorted(path.name for path in report.parent.iterdir()) == ["comparison.html", "comparison.json"]
        assert "<h1>Comparison</h1>" in report.with_suffix(".html").read_text()

    @pytest.fixture(scope="class")
    @classmethod
    def tensors(cls, backend: Backend, trained: Run) -> str:
        """Those that the training saved: a folder, or an s3:// URL."""
        return str(trained.ml / "output" / "tensors")

    def test_judges_saved_tensors_as_the_training_did(
        self, backend: Backend, trained: Run, tensors: str, tmp_path: Path
    ) -> None:
        report = tmp_path / "new" / "debug.json"
        backend.debug(tensors, report, "default", lambda _: None)
        mine, theirs = json.loads(report.read_text()), trained.read_json("ml/output/data/debugger-report.json")
        statuses = [[(rule["name"], rule["status"]) for rule in each["rules"]] for each in (mine, theirs)]
        assert len(statuses[0]) >= 8
        assert statuses[0] == statuses[1]
        for key in ("steps", "trends", "epochs", "hyperparameters", "outcome"):
            assert mine[key] == theirs[key], key
        assert sorted(path.name for path in report.parent.iterdir()) == ["debug.html", "debug.json"]
        with pytest.raises(BackendError, match="Overfitt"):
            backend.debug(tensors, report, "Overfitt", lambda _: None)
        with pytest.raises(BackendError, match="give"):
            backend.debug(str(tmp_path / "nowhere"), report, "default", lambda _: None)

    def test_predicts_without_a_server(self, backend: Backend, trained: Run, data: Path, tmp_path: Path) -> None:
        broken, missing = tmp_path / "broken.jpg", tmp_path / "missing.jpg"
        broken.write_bytes(b"no image")
        photo = data / "test" / "001.Red_dog" / "0.jpg"
        good, bad, gone = backend.predict(trained.artifact, [photo, broken, missing])
        expected = trained.read_json("ml/output/data/evaluation.json")["predictions"]["001.Red_dog/0.jpg"]
        assert good["predictions"][0]["label"] == expected["label"]
        assert good["predictions"][0]["probability"] == pytest.approx(expected["probability"], abs=1e-4)
        assert good["file"] == str(photo)
        assert bad["file"] == str(broken)
        assert "not an image" in bad["error"]
        assert gone["file"] == str(missing)
        assert gone["error"]

    def test_serves_until_it_is_stopped(self, backend: Backend, endpoint: Run, data: Path) -> None:
        assert backend.is_alive(endpoint)
        answer = backend.ask(endpoint, data / "test" / "002.Green_dog" / "0.jpg")
        assert {each["label"] for each in answer["predictions"]} == LABELS
        assert sum(each["probability"] for each in answer["predictions"]) == pytest.approx(1, abs=1e-5)
        assert load_run(endpoint.path).status == "running"

    def test_transforms_a_folder_by_a_server_that_is_gone_afterwards(
        self, backend: Backend, trained: Run, data: Path, tmp_path: Path
    ) -> None:
        server = OwnServer(backend, trained.artifact, tmp_path / "runs")
        files = LocalImages([str(data / "test")])
        summary, _ = transform(TransformRequest(files, tmp_path / "out", server, read_artifact(trained.artifact)))
        theirs = trained.read_json("ml/output/data/evaluation.json")
        assert (summary["images"], summary["failed"], summary["labelled"]["n"]) == (12, 0, 12)
        assert summary["labelled"]["accuracy"] == theirs["accuracy"]
        rows = [json.loads(line) for line in (tmp_path / "out" / "predictions.jsonl").read_text().splitlines()]
        for row, (name, expected) in zip(rows, sorted(theirs["predictions"].items()), strict=True):
            assert row["file"] == str(data / "test" / name)
            assert row["predictions"][0]["label"] == expected["label"]
            assert row["predictions"][0]["probability"] == pytest.approx(expected["probability"], abs=1e-4)
        (run,) = all_runs(tmp_path / "runs")
        assert (run.kind, run.status) == self.transformed
        assert not backend.is_alive(run)

    def test_stopping_is_final_and_may_be_repeated(self, backend: Backend, trained: Run) -> None:
        run = deploy_artifact(backend, trained.path.parent, trained.artifact, client.choose_port(0), None)
        stop_run(backend, run)
        assert not backend.is_alive(run)
        assert not client.is_ready(run.record["url"])
        stop_run(backend, run)
        assert load_run(run.path).status == "stopped"
        assert "listening on" in run.log.read_text()

    def test_a_folder_without_an_artifact_is_refused_and_nothing_left(self, backend: Backend, tmp_path: Path) -> None:
        with pytest.raises(BackendError, match=r"did not come up|no artifact"):
            deploy_artifact(backend, tmp_path, tmp_path, client.choose_port(0), "empty")
        run = load_run(tmp_path / "empty")
        assert run.status == "failed"
        assert not backend.is_alive(run)

    def test_a_record_left_by_a_killed_driver_is_made_true(self, backend: Backend, trained: Run) -> None:
        trained.update(status="running")
        refresh(backend, trained)
        assert load_run(trained.path).status == "completed"
        assert load_run(trained.path).record["metrics"]["epoch"] >= 1
