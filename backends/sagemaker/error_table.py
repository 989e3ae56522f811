"""What AWS's refusals mean for somebody who runs Kennel: a table of codes, words and next steps.

In a sentence {message} is AWS's own, {code} and {status} its code and HTTP status, {0} the first group of the words.
"""

from dataclasses import dataclass
from typing import Final

QUOTAS_URL: Final = "https://console.aws.amazon.com/servicequotas/home/services/sagemaker/quotas"


@dataclass(frozen=True)
class ErrorRule:
    """codes: of the refusals that it is for, separated by spaces; none for all. words: a regular expression."""

    sentence: str
    codes: str = ""
    words: str = ""


_INVALID: Final = "ValidationException ValidationError InvalidParameterException InvalidParameterValue"
_OTHER_REGION: Final = (
    "the bucket is in another region than the one set ({message}); set bucket or region in [sagemaker]"
)
_NO_IMAGE: Final = (
    "the image isn't in ECR ({message}); push it (./build_and_push.sh kennel) and set image in [sagemaker]"
)
_AGAIN: Final = "wait a minute and repeat it: what is done stays done"

# The first that fits.
RULES: Final = (
    ErrorRule(
        "the account's quota '{0}' is {1} in this region, {2} in use, and {3} more asked for; "
        f"raise it at {QUOTAS_URL}, or choose fewer instances or another type",
        words=r"limit '([^']+)'.*? is ([\d,.]+).*?current utilization of ([\d,.]+).*?request delta of ([\d,.]+)",
    ),
    ErrorRule(
        f"a quota of the account is used up ({{message}}); raise it at {QUOTAS_URL}, or delete what isn't needed",
        codes="ResourceLimitExceeded ServiceQuotaExceededException LimitExceeded",
    ),
    ErrorRule(
        "AWS has no such instance free at the moment ({message}); repeat it later, or with another type or region",
        words="insufficient.?(?:instance.?)?capacity|CapacityError|unable to provision",
    ),
    ErrorRule(
        "the AWS credentials have expired; sign in again (aws sso login, or new temporary keys) and repeat it",
        codes="ExpiredToken ExpiredTokenException RequestExpired",
    ),
    ErrorRule(
        "this machine's clock differs from AWS's ({message}); set it and repeat it",
        codes="InvalidSignatureException SignatureDoesNotMatch RequestTimeTooSkewed",
        words="expired|too large|earlier than|later than|skew",
    ),
    ErrorRule(
        "AWS doesn't know these credentials ({message}); see what aws sts get-caller-identity says, "
        "and whether the region is enabled in the account",
        codes="InvalidClientTokenId UnrecognizedClientException InvalidAccessKeyId SignatureDoesNotMatch AuthFailure "
        "InvalidSignatureException IncompleteSignature InvalidToken MissingAuthenticationToken",
    ),
    ErrorRule(
        "the account isn't signed up for this service here ({message}); enable it, or set another region "
        "in [sagemaker]",
        codes="OptInRequired SubscriptionRequiredException RegionDisabledException",
    ),
    ErrorRule(
        f"AWS was asked too often ({{message}}), five times over; {_AGAIN}",
        codes="ThrottlingException Throttling ThrottledException TooManyRequestsException RequestLimitExceeded "
        "SlowDown RequestThrottled ConcurrentUpdateException",
    ),
    ErrorRule(
        "the bucket isn't there ({message}); set bucket in [sagemaker] to one of yours, or leave it empty",
        codes="NoSuchBucket",
    ),
    ErrorRule(
        "the bucket's name belongs to another account; set bucket in [sagemaker] to another name",
        codes="BucketAlreadyExists",
    ),
    ErrorRule(
        _OTHER_REGION,
        codes="PermanentRedirect 301 AuthorizationHeaderMalformed IllegalLocationConstraintException TemporaryRedirect",
    ),
    ErrorRule(
        _OTHER_REGION,
        words=r"bucket\b.*(?:not in|different|another|same) region|must be in (?:the )?(?:same )?region",
    ),
    ErrorRule(
        "SageMaker takes no {0}; push the image again with ./build_and_push.sh, which sends it in Docker's own form",
        words=r"manifest media type (\S+)",
    ),
    ErrorRule(_NO_IMAGE, codes="RepositoryNotFoundException ImageNotFoundException"),
    ErrorRule(
        _NO_IMAGE,
        codes=_INVALID,
        words=r"image \S+ (?:not found|does not exist)|image\b.* is invalid|invalid (?:training )?image|non-ECR",
    ),
    ErrorRule(
        "SageMaker can't act as the role ({message}); give it the trust policy docs/iam/execution-role-trust.json",
        codes=_INVALID,
        words="assume the role|could not assume|pass role is not allowed",
    ),
    ErrorRule(
        "SageMaker finds nothing there ({message}); see whether it is, and whether the role has "
        "docs/iam/execution-role.json",
        codes=_INVALID,
        words="no s3 objects found|s3 (?:object|bucket).*does not exist|could not (?:find|access) model data",
    ),
    ErrorRule(
        "not on this instance type ({message}); set another instance_type in kennel.toml",
        codes=_INVALID,
        words="instance ?type|unrecognized instance|not (?:supported|available) in (?:this |the )?region",
    ),
    ErrorRule("the container answers {status}: {message}", codes="ModelError"),
    ErrorRule(f"it isn't ready ({{message}}); {_AGAIN}", codes="ModelNotReadyException"),
    ErrorRule(
        f"AWS has a fault of its own ({{code}}: {{message}}); {_AGAIN}",
        codes="InternalFailure InternalServerException InternalServerError InternalError InternalServiceException "
        "ServiceUnavailable ServiceUnavailableException 500 503",
    ),
    ErrorRule(
        "the key can't be used ({message}); set kms_key in [sagemaker] to an enabled key of this region",
        codes="KMS.NotFoundException KmsKeyNotFoundException KMS.DisabledException KmsKeyDisabledException",
    ),
)  # fmt: skip

_CREDENTIALS: Final = (
    "there are no AWS credentials; sign in (aws configure, aws sso login), or set profile in [sagemaker] of kennel.toml"
)
_NETWORK: Final = "AWS can't be reached ({message}); check the network, the proxy and the region, and repeat it"
_REGION: Final = "{message}; set region in [sagemaker] of kennel.toml, as in eu-west-1"
_SIGN_IN: Final = "the sign-in has expired ({message}); sign in again with aws sso login (or aws login)"

# By the names of botocore's own errors, which come before AWS has answered.
CLIENT_ERRORS: Final = {
    "NoCredentialsError": _CREDENTIALS,
    "NoAuthTokenError": _CREDENTIALS,
    "PartialCredentialsError": "the AWS credentials are incomplete ({message}); set all of them, or none",
    "CredentialRetrievalError": "the AWS credentials can't be had ({message}); run the command that gives them by hand",
    "RefreshWithMFAUnsupportedError": "the profile wants a code of a second factor; use temporary keys instead",
    "ProfileNotFound": "{message}; aws configure list-profiles says which there are, profile in "
    "[sagemaker] chooses one",
    "ConfigParseError": "AWS's own configuration can't be read ({message}); mend that file",
    "NoRegionError": "there is no AWS region; set region in [sagemaker] of kennel.toml, or AWS_DEFAULT_REGION",
    "InvalidRegionError": _REGION,
    "UnknownRegionError": _REGION,
    "TokenRetrievalError": _SIGN_IN,
    "SSOError": _SIGN_IN,
    "LoginError": _SIGN_IN,
    "SSLError": "AWS's certificate isn't trusted here ({message}); set AWS_CA_BUNDLE if a proxy has one of its own",
    "ConnectionError": _NETWORK,
    "HTTPClientError": _NETWORK,
    "ParamValidationError": "the request isn't as AWS wants it ({message}); look at the settings of those names",
}

_NO_ROLE: Final = "see whether it is there, and whether the execution role has docs/iam/execution-role.json"
# Why jobs and endpoints fail: (words of the reason or of the log's last lines; what to do). The first that fits.
FAILURE_STEPS: Final = (
    ("exec format error", "the image is for another processor: build it with docker/build.sh and push it again"),
    ("Unsupported manifest", "push the image again with ./build_and_push.sh, which sends it in Docker's own form"),
    ("insufficient.?(instance.?)?capacity|CapacityError|unable to provision",
     "repeat it later, or with another instance type or region"),
    ("service limit|ResourceLimitExceeded", f"raise that quota at {QUOTAS_URL}, or choose another instance type"),
    ("MaxRuntimeExceeded", "it took longer than it may: raise max_hours in kennel.toml"),
    ("MaxWaitTimeExceeded", "no spare capacity came in time: raise max_wait_hours in [train], or set spot = false"),
    ("out of memory|OutOfMemory|exit code: 137|MemoryError|Cannot allocate memory",
     "memory ran out: take a larger instance type or a smaller batch_size"),
    ("no space left", "the disk is full: raise volume_gb in kennel.toml"),
    ("Image size", "a serverless endpoint takes images of 10 GB at most: build the image with TORCH=cpu"),
    ("assume|trust", "give the execution role the trust policy docs/iam/execution-role-trust.json"),
    ("download|s3:|NoSuchKey|NoSuchBucket|AccessDenied|not authorized|Access denied", _NO_ROLE),
    ("CannotStartContainer|ping health check|allotted .* timeout|invoked with 'docker run",
     "see whether the server starts on this machine: docker run IMAGE serve"),
    ("Cannot pull|pull access|image .*(not found|does not exist)",
     "push the image (./build_and_push.sh kennel) and set image in [sagemaker]"),
    ("InternalServerError|internal error|Request to service failed|InternalFailure",
     "repeat it; what is done stays done"),
)  # fmt: skip

DENIED: Final = (
    "AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "AuthorizationError", "Forbidden", "403",
    "KmsAccessDeniedException",
)  # fmt: skip
# A HEAD request is answered without words; and some operations want a permission of another name.
PERMISSIONS: Final = {
    "HeadObject": "s3:GetObject", "HeadBucket": "s3:ListBucket", "ListObjectsV2": "s3:ListBucket",
    "CreateMultipartUpload": "s3:PutObject", "UploadPart": "s3:PutObject", "DeleteObjects": "s3:DeleteObject",
}  # fmt: skip
MISSING: Final = (
    "ResourceNotFound", "ResourceNotFoundException", "NotFoundException", "ObjectNotFoundException", "404", "NotFound",
    "NoSuchResourceException", "NoSuchEntity", "NoSuchBucket", "NoSuchKey", "RepositoryNotFoundException",
    "ImageNotFoundException",
)  # fmt: skip
EXISTS: Final = (
    "ResourceInUse", "ResourceAlreadyExists", "ResourceAlreadyExistsException", "EntityAlreadyExists",
    "BucketAlreadyOwnedByYou", "RepositoryAlreadyExistsException",
)  # fmt: skip
# SageMaker says most of both by ValidationException and its words.
MISSING_WORDS: Final = ("could not find", "not found", "does not exist", "cannot find")
EXISTS_WORDS: Final = ("already exist",)
