"""Errors of AWS and the SDK as one sentence: what was wrong, the value, the next step. The texts are in `error_table`.

The same for how a job or an endpoint ended, from its FailureReason and its log.
"""

import re
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from backends.errors import BackendError
from backends.sagemaker.error_table import (
    CLIENT_ERRORS,
    DENIED,
    EXISTS,
    EXISTS_WORDS,
    FAILURE_STEPS,
    MISSING,
    MISSING_WORDS,
    PERMISSIONS,
    RULES,
    ErrorRule,
)  # fmt: skip


@dataclass(frozen=True)
class AwsFault:
    """What AWS answered: its code, its words on one line, the operation that was called, the HTTP status."""

    code: str
    message: str
    operation: str
    status: int = 400

    @classmethod
    def of(cls, error: Any) -> "AwsFault":
        """Of botocore's ClientError."""
        answer = error.response
        fault = answer.get("Error", {})
        # What an endpoint's container says and its status lie beside AWS's own, which wrap them.
        message = answer.get("OriginalMessage") or fault.get("Message") or ""
        status = answer.get("OriginalStatusCode") or answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        return cls(str(fault.get("Code", "")), one_line(message), error.operation_name, status)

    @property
    def denied(self) -> bool:
        return self.code in DENIED or "not authorized to perform" in self.message


def one_line(error: object) -> str:
    """Its words without line breaks and without a full stop."""
    return " ".join(str(error).split()).rstrip(".")


def explain_fault(fault: AwsFault) -> str:
    """The rest of a sentence that begins with what was being done."""
    if fault.denied:
        return _denied(fault)
    if rule := rule_of(fault):
        match = re.search(rule.words, fault.message, re.IGNORECASE)
        words = match.groups() if match else ()
        return rule.sentence.format(*words, message=fault.message or fault.code, code=fault.code, status=fault.status)
    return f"AWS refuses {fault.operation}: {fault.code or fault.status}{f': {fault.message}' if fault.message else ''}"


def rule_of(fault: AwsFault) -> ErrorRule | None:
    """The first rule of the table that is for such a fault."""
    for rule in RULES:
        fits = not rule.codes or fault.code in rule.codes.split()
        if fits and re.search(rule.words, fault.message, re.IGNORECASE):
            return rule
    return None


def _denied(fault: AwsFault) -> str:
    denied_action = re.search(
        r"not authorized to perform:? (\S+)(?: on(?: the)? resource:? \"?([^\s\",]+))?", fault.message
    )
    action = denied_action[1] if denied_action else PERMISSIONS.get(fault.operation, fault.operation)
    resource = f" on {denied_action[2]}" if denied_action and denied_action[2] else ""
    caller = re.search(r"User: (\S+)", fault.message)
    # What is said otherwise is often no more than that.
    words = "" if denied_action or fault.message in ("", "Access Denied", "Forbidden") else f" ({fault.message})"
    refusal = f"{caller[1] if caller else 'whoever these credentials are'} may not do {action}{resource}{words}"
    if deny := re.search(r"explicit deny in an? ([\w -]+)", fault.message):
        return f"{refusal}, by an explicit deny in a {deny[1]}; only who administers the account can change that"
    if action.startswith("kms:"):
        return f"{refusal}; the key's own policy has to allow it as well as docs/iam/person.json does"
    if action == "iam:PassRole":
        return f"{refusal}; allow it for this role as docs/iam/person.json does, or set another role in [sagemaker]"
    return f"{refusal}; docs/iam/person.json lists all that Kennel asks for"


def explain_client_error(error: Exception) -> str:
    """What botocore raises by itself, in words."""
    names = [each.__name__ for each in type(error).__mro__]
    sentence = next((CLIENT_ERRORS[name] for name in names if name in CLIENT_ERRORS), "{message}")
    return sentence.format(message=one_line(error))


class AwsError(BackendError):
    """AWS's refusal. fault: the code, words and operation that it came with."""

    def __init__(self, sentence: str, fault: AwsFault) -> None:
        super().__init__(sentence)
        self.fault = fault

    @property
    def missing(self) -> bool:
        """Whether what was asked about isn't there. Of a call that creates something, it may be another thing."""
        return self.fault.code in MISSING or self._message_has(MISSING_WORDS)

    @property
    def already_exists(self) -> bool:
        """Whether what was to be made is there already."""
        return self.fault.code in EXISTS or self._message_has(EXISTS_WORDS)

    @property
    def denied(self) -> bool:
        """Whether it is a matter of permissions."""
        return self.fault.denied

    def _message_has(self, words: tuple[str, ...]) -> bool:
        generic = self.fault.code in ("ValidationException", "ValidationError", "ConflictException", "BadRequest")
        return generic and any(each in self.fault.message.lower() for each in words)


@contextmanager
def translate_aws_errors(action: str) -> Iterator[None]:
    """Turns what boto3 and the SDK raise into BackendError; AwsError where AWS itself has answered.

    action: what was asked, as in "starting the job".
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except ClientError as error:
        raise _aws_error(action, error) from error
    except BotoCoreError as error:
        raise BackendError(f"{action}: {explain_client_error(error)}") from error
    except Boto3Error as error:
        # A transfer's: the answer of S3 is what it was raised for.
        inner = error.__cause__ or error.__context__ or getattr(error, "last_exception", None)
        if isinstance(inner, ClientError):
            raise _aws_error(action, inner) from error
        raise BackendError(f"{action}: {one_line(error)}; repeat it, it goes on where it was") from error
    except ValueError as error:
        if not _from_sdk(error):
            raise
        raise BackendError(f"{action}: SageMaker's SDK says: {one_line(error)}") from error


def _aws_error(action: str, error: Any) -> AwsError:
    fault = AwsFault.of(error)
    return AwsError(f"{action}: {explain_fault(fault)}", fault)


def _from_sdk(error: Exception) -> bool:
    """Whether the SDK raised it, and not something of ours or a library that it called."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    return str(frames[-1].f_globals.get("__name__", "")).split(".")[0] == "sagemaker"


def none_if_missing(action: str, ask: Callable[[], dict[str, Any]]) -> dict[str, Any] | None:
    """The call's answer; None when what it is about doesn't exist. action: as of `translate_aws_errors`.

    Raises BackendError for any other error.
    """
    try:
        with translate_aws_errors(action):
            return ask()
    except AwsError as refused:
        if refused.missing:
            return None
        raise


_TAIL: Final = 3
_LINE: Final = 200
# Secondary statuses of a job that was ended for its own limits.
_LIMITS: Final = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")


def describe_failure(what: str, reason: str, log: Sequence[str] = ()) -> str:
    """`WHAT failed: CAUSE; NEXT STEP; its log ends: LINES`.

    what: as in "the training job kennel-first-1a2b3c". reason: its FailureReason, or its last secondary status; may be
    empty. log: its last lines, for what leaves its cause there; a cause that the container itself reported needs none.
    """
    lines = [one_line(line)[:_LINE] for line in log if line.strip()]
    cause, complete = _cause(reason)
    step = next((step for words, step in FAILURE_STEPS if _found(words, [reason, *lines[-50:]])), "")
    ended = "was stopped" if cause in _LIMITS else "failed"
    parts = [f"{what} {ended}" + (f": {cause}" if cause else "")]
    if step and not complete:
        parts.append(step)
    if lines and not complete:
        parts.append("its log ends: " + " / ".join(_tail(lines)))
    return "; ".join(parts)


def _cause(reason: str) -> tuple[str, bool]:
    """What a reason says, without SageMaker's wrapping; and whether Kennel's own container has said it."""
    first = next((line for line in reason.splitlines() if line.strip()), "")
    match = re.fullmatch(r"AlgorithmError:\s*(.*?)(?:,? ?exit code: (\d+))?", first.strip())
    if match is None:
        return one_line(first), False
    words = one_line(match[1].removeprefix("ClientError: ")).strip(" ,")
    if not words:
        return f"exit code {match[2]}" if match[2] else "", False
    # The failure file holds Kennel's own sentence, which has the next step in it.
    return words, True


def _found(words: str, texts: Sequence[str]) -> bool:
    return any(re.search(words, text, re.IGNORECASE) for text in texts)


def _tail(lines: Sequence[str]) -> list[str]:
    """The last lines; before them the last that says error, when it isn't one of them."""
    errors = [line for line in lines[-50:-_TAIL] if re.match(r"(error|ClientError|AlgorithmError): ", line)]
    return [*errors[-1:], *lines[-_TAIL:]]
