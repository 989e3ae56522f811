"""What the person is told and asked before anything costs money."""

import io

import pytest

from backends.errors import BackendError, Stopped
from backends.sagemaker.billing.consent import ConsentPrompt
from backends.sagemaker.billing.items import Item
from backends.settings.sections import AccountSettings, Settings

TRAINING = Item("training job kennel-first-1a2b3c", "training", "ml.g4dn.xlarge", 1, 4.0)
ENDPOINT = Item("endpoint kennel-dogs-4d5e6f", "hosting", "ml.m5.large")
UNKNOWN = Item("endpoint kennel-dogs-4d5e6f", "hosting", "ml.g7.2xlarge")


NOTE = (
    "prices: AWS's list prices of us-east-1 as of 2026-09, from the table that comes along; to be checked: "
    'prices = "api" in [sagemaker] asks AWS'
)


class Terminal(io.StringIO):
    """A person who types this."""

    def isatty(self) -> bool:
        return True


def consent(yes: bool = False, max_cost: float = 0.0, region: str = "us-east-1") -> ConsentPrompt:
    return ConsentPrompt(yes, Settings(sagemaker=AccountSettings(region=region, max_cost=max_cost)))


def types(text: str, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    terminal = Terminal(text)
    monkeypatch.setattr("sys.stdin", terminal)
    return terminal


def squeezed(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


def test_what_how_many_how_long_and_how_much_are_told_before_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    types("y\n", monkeypatch)
    consent()([TRAINING, ENDPOINT])
    assert squeezed(capsys.readouterr().out) == [
        "to be started in us-east-1:",
        "what on price at most US dollars",
        "training job kennel-first-1a2b3c 1 x ml.g4dn.xlarge $0.736 an hour 4 h $2.95",
        "endpoint kennel-dogs-4d5e6f 1 x ml.m5.large $0.115 an hour until deleted $2.76 a day",
        NOTE,
        "Start it ($2.95 at most, and $2.76 a day until it is deleted)? [y/N]",
    ]


@pytest.mark.parametrize("answer", ["n\n", "\n", "", "yesterday\n"])
def test_anything_but_yes_is_a_no(answer: str, monkeypatch: pytest.MonkeyPatch) -> None:
    types(answer, monkeypatch)
    with pytest.raises(Stopped, match=r"^not agreed to; nothing was started$"):
        consent()([TRAINING])


def test_without_a_terminal_it_is_refused_in_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(BackendError) as refusal:
        consent()([TRAINING])
    assert str(refusal.value) == (
        "there is no terminal to ask at whether this may be started ($2.95 at most); give --yes"
    )


def test_yes_beforehand_is_told_and_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    consent(yes=True)([TRAINING])
    assert "$2.95" in capsys.readouterr().out


def test_a_limit_holds_whatever_was_said(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = types("y\n", monkeypatch)
    with pytest.raises(BackendError) as refusal:
        consent(yes=True, max_cost=5.0)([TRAINING, ENDPOINT])
    # What lasts counts as a day of it.
    assert str(refusal.value) == (
        "it may cost $5.71 ($2.95 at most, and $2.76 a day until it is deleted), above max_cost in [sagemaker], $5.00; "
        "raise that, or choose fewer, smaller or shorter ones"
    )
    assert terminal.read() == "y\n"
    consent(yes=True, max_cost=5.71)([TRAINING, ENDPOINT])


def test_an_unknown_price_is_told_as_unknown(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    types("y\n", monkeypatch)
    consent()([TRAINING, UNKNOWN])
    told = squeezed(capsys.readouterr().out)
    assert "endpoint kennel-dogs-4d5e6f 1 x ml.g7.2xlarge unknown until deleted unknown" in told
    assert "no price is known for ml.g7.2xlarge: what it costs isn't in the sum" in told
    assert told[-1] == "Start it ($2.95 at most, and an unknown amount a day until it is deleted)? [y/N]"


def test_an_unknown_price_cannot_be_held_to_a_limit() -> None:
    with pytest.raises(BackendError) as refusal:
        consent(yes=True, max_cost=1000.0)([UNKNOWN])
    assert str(refusal.value) == (
        "no price is known for ml.g7.2xlarge, so it can't be held to max_cost ($1,000.00); "
        'set prices = "api" in [sagemaker], choose a type that the table has, or set max_cost to 0'
    )


def test_storage_of_less_than_a_cent_a_month_is_told_and_not_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    consent()([Item("data set dogs", "storage", gigabytes=0.01)])
    assert "10 MB in S3" in capsys.readouterr().out
    with pytest.raises(BackendError, match="give --yes"):
        consent()([Item("data set dogs", "storage", gigabytes=1.0)])


def test_a_serverless_endpoint_is_asked_for_though_it_costs_nothing_idle(monkeypatch: pytest.MonkeyPatch) -> None:
    types("n\n", monkeypatch)
    with pytest.raises(Stopped):
        consent()([Item("endpoint kennel-dogs-4d5e6f", "serverless", gigabytes=3)])


def test_nothing_is_no_question(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    consent()([])
    assert capsys.readouterr().out == ""


def test_several_steps_are_asked_for_once(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    terminal = types("y\nn\n", monkeypatch)
    asking = consent()
    three = Item("search kennel-tuning-1a2b3c", "training", "ml.g4dn.xlarge", 3, 4.0)
    with asking.covering([three, ENDPOINT]):
        for _ in range(3):
            asking([TRAINING])
        asking([ENDPOINT])
        assert capsys.readouterr().out.count("[y/N]") == 1
        # A fourth training was never agreed to.
        with pytest.raises(Stopped):
            asking([TRAINING])
    assert terminal.read() == ""


def test_what_was_agreed_to_ends_with_its_block(monkeypatch: pytest.MonkeyPatch) -> None:
    types("y\n", monkeypatch)
    asking = consent()
    with asking.covering([ENDPOINT]):
        pass
    with pytest.raises(Stopped):
        asking([ENDPOINT])


def test_agreeing_to_a_spot_job_is_not_agreeing_to_one_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    types("y\n", monkeypatch)
    asking = consent()
    spot = Item("training job", "spot", "ml.g4dn.xlarge", 1, 4.0)
    with asking.covering([spot]), pytest.raises(Stopped):
        asking([TRAINING])


def test_without_a_region_nothing_can_be_priced(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    with pytest.raises(BackendError, match="there is no AWS region"):
        consent(yes=True, region="")([TRAINING])
