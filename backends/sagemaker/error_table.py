"""What AWS's refusals mean for somebody who runs Kennel: a table of codes, words and next steps.

In a sentence {said} is what AWS says, {code} and {status} its code and HTTP status, {0} the first group of the words.
"""

from dataclasses import dataclass
from typing import Final

QUOTAS: Final = "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"


@dataclass(frozen=True)
class Rule:
    """codes: of the refusals that it is for, separated by spaces; none for all. words: a regular expression."""

    sentence: str
    codes: str = ""
    words: str = ""


_INVALID: Final = "ValidationException ValidationError InvalidParameterException InvalidParameterValue"
_OTHER_REGION: Final = "the bucket is in another region than the one set ({said}); set bucket or region in [sagemaker]"
_NO_IMAGE: Final = "the image isn't in ECR ({said}); push it (./build_and_push.sh kennel) and set image in [sagemaker]"
_AGAIN: Final = "wait a minute and repeat it: what is done stays done"

# The first that fits.
RULES: Final = (
    Rule(
        "the account's quota '{0}' is {1} in this region, {2} in use, and {3} more asked for; "
        f"raise it at {QUOTAS}, or choose fewer instances or another type",
        words=r"limit '([^']+)'.*? is ([\d,.]+).*?current utilization of ([\d,.]+).*?request delta of ([\d,.]+)",
    ),
    Rule(
        f"a quota of the account is used up ({{said}}); raise it at {QUOTAS}, or delete what isn't needed",
        codes="ResourceLimitExceeded ServiceQuotaExceededException LimitExceeded",
    ),
    Rule(
        "AWS has no such instance free at the moment ({said}); repeat it later, or with another type or region",
        words="insufficient.?(?:instance.?)?capacity|CapacityError|unable to provision",
    ),
    Rule(
        "the AWS credentials have expired; sign in again (aws sso login, or new temporary keys) and repeat it",
        codes="ExpiredToken ExpiredTokenException RequestExpired",
    ),
    Rule(
        "this machine's clock differs from AWS's ({said}); set it and repeat it",
        codes="InvalidSignatureException SignatureDoesNotMatch RequestTimeTooSkewed",
        words="expired|too large|earlier than|later than|skew",
    ),
    Rule(
        "AWS doesn't know these credentials ({said}); see what aws sts get-caller-identity says, "
        "and whether the region is enabled in the account",
        codes="InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId SignatureDoesNotMatch AuthFailure "
        "InvalidSignatureException IncompleteSignature InvalidToken MissingAuthenticationToken",
    ),
    Rule(
        "the account isn't signed up for this service here ({said}); enable it, or set another region in [sagemaker]",
        codes="OptInRequired SubscriptionRequiredException RegionDisabledException",
    ),
    Rule(
        f"AWS was asked too often ({{said}}), five times over; {_AGAIN}",
        codes="ThrottlingException Throttling ThrottledException TooManyRequestsException RequestLimitExceeded "
        "SlowDown RequestThrottled ConcurrentUpdateException",
    ),
    Rule(
        "the bucket isn't there ({said}); set bucket in [sagemaker] to one of yours, or leave it empty",
        codes="NoSuchBucket",
    ),
    Rule(
        "the bucket's name belongs to another account; set bucket in [sagemaker] to another name",
        codes="BucketAlreadyExists",
    ),
    Rule(
        _OTHER_REGION,
        codes="PermanentRedirect 301 AuthorizationHeaderMalformed IllegalLocationConstraintException TemporaryRedirect",
    ),
    Rule(
        _OTHER_REGION,
        words=r"bucket\b.*(?:not in|different|another|same) region|must be in (?:the )?(?:same )?region",
    ),
    Rule(
        "SageMaker takes no {0}; push the image again with ./build_and_push.sh, which sends it in Docker's own form",
        words=r"manifest media type (\S+)",
    ),
    Rule(_NO_IMAGE, codes="RepositoryNotFoundException ImageNotFoundException"),
    Rule(
        _NO_IMAGE,
        codes=_INVALID,
        words=r"image \S+ (?:not found|does not exist)|image\b.* is invalid|invalid (?:training )?image|non-ECR",
    ),
    Rule(
        "SageMaker can't act as the role ({said}); give it the trust policy docs/iam/execution-role-trust.json",
        codes=_INVALID,
        words="assume the role|could not assume|pass role is not allowed",
    ),
    Rule(
        "SageMaker finds nothing there ({said}); see whether it is, and whether the role has "
        "docs/iam/execution-role.json",
        codes=_INVALID,
        words="no s3 objects found|s3 (?:object|bucket).*does not exist|could not (?:find|access) model data",
    ),
    Rule(
        "not on this instance type ({said}); set another instance_type in kennel.toml",
        codes=_INVALID,
        words="instance ?type|unrecognized instance|not (?:supported|available) in (?:this |the )?region",
    ),
    Rule("the container answers {status}: {said}", codes="ModelError"),
    Rule(f"it isn't ready ({{said}}); {_AGAIN}", codes="ModelNotReadyException"),
    Rule(
        f"AWS has a fault of its own ({{code}}: {{said}}); {_AGAIN}",
        codes="InternalFailure InternalServerException InternalServerError InternalError InternalServiceException "
        "ServiceUnavailable ServiceUnavailableException 500 503",
    ),
    Rule(
        "the key can't be used ({said}); set kms_key in [sagemaker] to an enabled key of this region",
        codes="KMS.NotFoundException KmsKeyNotFoundException KMS.DisabledException KmsKeyDisabledException",
    ),
)  # fmt: skip

_CREDENTIALS: Final = (
    "there are no AWS credentials; sign in (aws configure, aws sso login), or set profile in [sagemaker] of kennel.toml"
)
_NETWORK: Final = "AWS can't be reached ({said}); check the network, the proxy and the region, and repeat it"
_REGION: Final = "{said}; set region in [sagemaker] of kennel.toml, as in eu-west-1"
_SIGN_IN: Final = "the sign-in has expired ({said}); sign in again with aws sso login (or aws login)"

# By the names of botocore's own errors, which come before AWS has answered.
UNANSWERED: Final = {
    "NoCredentialsError": _CREDENTIALS,
    "NoAuthTokenError": _CREDENTIALS,
    "PartialCredentialsError": "the AWS credentials are incomplete ({said}); set all of them, or none",
    "CredentialRetrievalError": "the AWS credentials can't be had ({said}); run the command that gives them by hand",
    "RefreshWithMFAUnsupportedError": "the profile wants a code of a second factor; use temporary keys instead",
    "ProfileNotFound": "{said}; aws configure list-profiles says which there are, profile in [sagemaker] chooses one",
    "ConfigParseError": "AWS's own configuration can't be read ({said}); mend that file",
    "NoRegionError": "there is no AWS region; set region in [sagemaker] of kennel.toml, or AWS_DEFAULT_REGION",
    "InvalidRegionError": _REGION,
    "UnknownRegionError": _REGION,
    "TokenRetrievalError": _SIGN_IN,
    "SSOError": _SIGN_IN,
    "LoginError": _SIGN_IN,
    "SSLError": "AWS's certificate isn't trusted here ({said}); set AWS_CA_BUNDLE if a proxy has one of its own",
    "ConnectionError": _NETWORK,
    "HTTPClientError": _NETWORK,
    "ParamValidationError": "the request isn't as AWS wants it ({said}); look at the settings of those names",
}
