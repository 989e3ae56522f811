"""Hyperparameters: every form in which SageMaker hands them over, and all faults told at once."""

import json
from dataclasses import asdict, fields

import pytest

from contract.errors import ConfigError
from contract.hyperparameters import Hyperparameters, table_rows
from contract.options import allowed
from model.network import ARCHITECTURES, HEADS


def parse(**raw: object) -> Hyperparameters:
    return Hyperparameters.parse(raw)


def fault(raw: dict[str, object]) -> str:
    with pytest.raises(ConfigError) as caught:
        Hyperparameters.parse(raw)
    return str(caught.value)


@pytest.mark.parametrize("form", ["0.1", '"0.1"', '"\\"0.1\\""', " 0.1 ", "1e-1", 0.1])
def test_a_number_in_every_form(form: object) -> None:
    assert parse(lr=form).lr == 0.1


@pytest.mark.parametrize("form", ["4", "4.0", '"4"', 4, 4.0, "4e0"])
def test_an_integer_in_every_form(form: object) -> None:
    epochs = parse(epochs=form).epochs
    assert epochs == 4
    assert type(epochs) is int


@pytest.mark.parametrize("form", ["sgd", '"sgd"', '"\\"sgd\\""'])
def test_a_choice_in_every_form(form: str) -> None:
    assert parse(optimizer=form).optimizer == "sgd"


@pytest.mark.parametrize("form", ["/opt/ml/input/data/w/a.pth", '"/opt/ml/input/data/w/a.pth"'])
def test_a_path_in_every_form(form: str) -> None:
    assert parse(pretrained=form).pretrained == "/opt/ml/input/data/w/a.pth"


def test_hyphens_are_underscores() -> None:
    chosen = Hyperparameters.parse({"batch-size": "16", "weight-decay": "0", "image_size": "64"})
    assert (chosen.batch_size, chosen.weight_decay, chosen.image_size) == (16, 0.0, 64)


def test_what_sagemaker_adds_and_null_leave_the_defaults() -> None:
    raw = {
        "sagemaker_program": '"train.py"',
        "sagemaker_region": "eu-west-1",
        "_tuning_objective_metric": '"average test loss"',
        "lr": None,
        "seed": "null",
    }
    assert Hyperparameters.parse(raw) == Hyperparameters()


def test_what_to_json_writes_is_read_back() -> None:
    chosen = parse(lr="0.05", head="mlp", pretrained="/a b/ü.pth", workers="0", freeze="backbone")
    assert Hyperparameters.parse(chosen.to_json()) == chosen
    assert all(isinstance(value, str) for value in chosen.to_json().values())


@pytest.mark.parametrize(
    ("name", "value", "range_"),
    [
        ("lr", "0", "a number above 0 and at most 10"),
        ("lr", "10.5", "a number above 0 and at most 10"),
        ("lr", "nan", "a number above 0 and at most 10"),
        ("lr", "Infinity", "a number above 0 and at most 10"),
        ("lr", "true", "a number above 0 and at most 10"),
        ("lr", "fast", "a number above 0 and at most 10"),
        ("lr", "[" * 2500, "a number above 0 and at most 10"),
        ("epochs", "0", "an integer from 1 to 10000"),
        ("epochs", "2.5", "an integer from 1 to 10000"),
        ("epochs", "9" * 5000, "an integer from 1 to 10000"),
        ("batch_size", "[16, 32]", "an integer from 1 to 4096"),
        ("image_size", "31", "an integer from 32 to 1024"),
        ("workers", "-2", "an integer from -1 to 64"),
        ("seed", "-1", "an integer from 0 to 2147483647"),
        ("validation_fraction", "0", "a number above 0 and at most 0.9"),
        ("weight_decay", "-0.1", "a number from 0 to 1"),
        ("architecture", "vgg16", "one of resnet18, resnet34, resnet50"),
        ("architecture", "18", "one of resnet18, resnet34, resnet50"),
        ("freeze", "true", "one of backbone, gradual, none"),
        ("freeze", "backbone\nnone", "one of backbone, gradual, none"),
        ("label_smoothing", "1", "a number from 0 to 0.9"),
        ("crop_scale", "0", "a number above 0 and at most 1"),
        ("flip", "0.6", "a number from 0 to 0.5"),
        ("ema_decay", "1", "a number from 0 to 0.99999"),
        ("mixup", "-1", "a number from 0 to 10"),
        ("patience", "-1", "an integer from 0 to 10000"),
        ("backbone_lr_ratio", "0", "a number above 0 and at most 1"),
        ("class_balance", "oversample", "one of none, sampling, weights"),
        ("auto_augment", "autoaugment", "one of none, rand, trivial"),
        ("head", "", "one of linear, mlp"),
        ("optimizer", '"\\"rmsprop\\""', "one of adamw, adam, sgd"),
        ("device", "gpu", "one of auto, cpu, cuda"),
        ("pretrained", "7", "imagenet, none or a path"),
    ],
)
def test_a_bad_value_is_told_by_name_range_and_value(name: str, value: str, range_: str) -> None:
    message = fault({name: value})
    assert message.startswith(f"{name}: must be {range_}, got ")
    assert " ".join(value.split())[:70] in message
    assert len(message) < 200
    assert "\n" not in message


def test_all_faults_at_once() -> None:
    message = fault({"lr": "-1", "epochs": '"many"', "batch-size": "0", "colour": "red", "head": "mlp"})
    assert message.startswith("4 hyperparameter faults: ")
    faults = message.removeprefix("4 hyperparameter faults: ").split(" | ")
    assert [each.split(":")[0] for each in faults] == ["lr", "epochs", "batch-size", "colour"]


@pytest.mark.parametrize(
    ("unknown", "meant"),
    [
        ("learning-rate", "lr"),
        ("epoch", "epochs"),
        ("batchsize", "batch_size"),
        ("num_workers", "workers"),
        ("early-stopping", "patience"),
        ("mixup_alpha", "mixup"),
    ],
)
def test_an_unknown_name_gets_a_suggestion(unknown: str, meant: str) -> None:
    assert fault({unknown: "1"}) == f"{unknown}: no such hyperparameter; did you mean {meant}?"


def test_an_unknown_name_like_no_other_gets_the_list() -> None:
    message = fault({"xyzzy": "1"})
    assert all(each.name in message for each in fields(Hyperparameters))


def test_one_name_in_two_spellings() -> None:
    assert Hyperparameters.parse({"batch-size": "8", "batch_size": 8}).batch_size == 8
    message = fault({"batch-size": "8", "batch_size": "16"})
    assert message == "batch_size: given with different values, as batch-size and as batch_size; give it once"


def test_batches_of_one_on_the_smallest_image() -> None:
    # Five halvings: 32 pixels end in one, and BatchNorm can't normalise one value.
    assert fault({"batch_size": "1", "image_size": "32"}).startswith("batch_size: 1 is too few")
    assert parse(batch_size="1", image_size="33").batch_size == 1
    assert parse(batch_size="1", image_size="32", freeze="backbone").batch_size == 1


def test_values_that_do_not_go_together() -> None:
    assert fault({"test_image_size": "16"}) == "test_image_size: must be 0 or from 32 to 1024, got 16"
    message = fault({"freeze": "backbone", "cutmix": "1"})
    assert message.startswith("cutmix: mixes pixels, ")
    assert "set cutmix=0, or feature_views=0" in message
    assert parse(freeze="backbone", cutmix="1", feature_views="0").cutmix == 1.0
    both = fault({"batch_size": "1", "image_size": "32", "test_image_size": "1", "epochs": "0"})
    assert both.startswith("3 hyperparameter faults: ")


def test_the_choices_are_what_the_network_can_be() -> None:
    options = {each.name: each.metadata.get("options") for each in fields(Hyperparameters)}
    assert options["architecture"] == tuple(ARCHITECTURES)
    assert options["head"] == HEADS


def test_every_hyperparameter_is_described_and_its_default_allowed() -> None:
    rows = table_rows()
    assert [row[0] for row in rows] == list(asdict(Hyperparameters()))
    assert all(text and help_ for _, _, text, help_ in rows)
    raw = {name: json.dumps(default) for name, default in asdict(Hyperparameters()).items()}
    assert Hyperparameters.parse(raw) == Hyperparameters()
    assert allowed(fields(Hyperparameters)[0]) == "one of resnet18, resnet34, resnet50"
