"""AWS's refusals in words: what was wrong, the value, the next step."""

import re
from dataclasses import dataclass
from typing import Any, Final

from backends.cloud.refusals import RULES, UNANSWERED, Rule

_DENIED: Final = (
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403",
    "KmsAccessDeniedException",
)  # fmt: skip
# A HEAD request is answered without words; and some operations want a permission of another name.
_PERMISSIONS: Final = {
    "HeadObject": "s3:GetObject", "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "DeleteObjects": "s3:DeleteObject",
}  # fmt: skip


@dataclass(frozen=True)
class Fault:
    """What AWS answered: its code, its words on one line, the operation that was called, the HTTP status."""

    code: str
    said: str
    operation: str
    status: int = 400

    @classmethod
    def of(cls, error: Any) -> "Fault":
        """Of botocore's ClientError."""
        answer = error.response
        fault = answer.get("Error", {})
        # What an endpoint's container says and its status lie beside AWS's own, which wrap them.
        said = answer.get("OriginalMessage") or fault.get("Message") or ""
        status = answer.get("OriginalStatusCode") or answer.get("ResponseMetadata", {}).get("HTTPStatusCode", 400)
        return cls(str(fault.get("Code", "")), one_line(said), error.operation_name, status)

    @property
    def denied(self) -> bool:
        return self.code in _DENIED or "not authorized to perform" in self.said


def one_line(error: object) -> str:
    """Its words without line breaks and without a full stop."""
    return " ".join(str(error).split()).rstrip(".")


def advice(fault: Fault) -> str:
    """The rest of a sentence that begins with what was being done."""
    if fault.denied:
        return _denied(fault)
    if rule := rule_of(fault):
        found = re.search(rule.words, fault.said, re.IGNORECASE)
        words = found.groups() if found else ()
        return rule.sentence.format(*words, said=fault.said or fault.code, code=fault.code, status=fault.status)
    return f"AWS refuses {fault.operation}: {fault.code or fault.status}{f': {fault.said}' if fault.said else ''}"


def rule_of(fault: Fault) -> Rule | None:
    """The first rule of the table that is for such a fault."""
    for rule in RULES:
        fits = not rule.codes or fault.code in rule.codes.split()
        if fits and re.search(rule.words, fault.said, re.IGNORECASE):
            return rule
    return None


def _denied(fault: Fault) -> str:
    asked = re.search(r"not authorized to perform:? (\S+)(?: on(?: the)? resource:? \"?([^\s\",]+))?", fault.said)
    action = asked[1] if asked else _PERMISSIONS.get(fault.operation, fault.operation)
    resource = f" on {asked[2]}" if asked and asked[2] else ""
    who = re.search(r"User: (\S+)", fault.said)
    # What is said otherwise is often no more than that.
    words = "" if asked or fault.said in ("", "Access Denied", "Forbidden") else f" ({fault.said})"
    refusal = f"{who[1] if who else 'whoever these credentials are'} may not do {action}{resource}{words}"
    if deny := re.search(r"explicit deny in an? ([\w -]+)", fault.said):
        return f"{refusal}, by an explicit deny in a {deny[1]}; only who administers the account can change that"
    if action.startswith("kms:"):
        return f"{refusal}; the key's own policy has to allow it as well as docs/iam/person.json does"
    if action == "iam:PassRole":
        return f"{refusal}; allow it for this role as docs/iam/person.json does, or set another role in [sagemaker]"
    return f"{refusal}; docs/iam/person.json lists all that Kennel asks for"


def unanswered(error: Exception) -> str:
    """What botocore raises by itself, in words."""
    names = [each.__name__ for each in type(error).__mro__]
    sentence = next((UNANSWERED[name] for name in names if name in UNANSWERED), "{said}")
    return sentence.format(said=one_line(error))
