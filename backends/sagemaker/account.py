"""The account that a step works in: its clients, role and bucket.

What a run has in the account, noted in its run.json before it is made.
"""

from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any, Final

from backends.errors import BackendError
from backends.runs import Run
from backends.sagemaker.billing.items import Item
from backends.sagemaker.errors import AwsError, translate_aws_errors
from backends.sagemaker.names import S3Location, resource_name
from backends.sagemaker.sdk import SDK_CONFIG, has_volumes, sdk
from backends.settings.sections import Settings
from contract.hyperparameters import describe_faults

ConfirmCost = Callable[[Sequence[Item]], None]
# Five attempts of boto3's own 60 s each would say nothing for five minutes where no network answers.
_CONFIG: Final = {
    "retries": {"mode": "standard", "max_attempts": 5}, "connect_timeout": 10, "user_agent_extra": "kennel",
}  # fmt: skip

_NO_ROLE: Final = "there is no execution role; make one (docs/iam/create.sh) and set role in [sagemaker] of kennel.toml"
_NO_IMAGE: Final = (
    "there is no image for SageMaker; push one (./build_and_push.sh kennel) and set image in [sagemaker] of "
    "kennel.toml to the URI on its last line"
)


class Account:
    """Credentials are boto3's own business; nothing is asked of AWS before something is needed.

    consent: called with what is about to be started; raises BackendError or Stopped where it may not be.
    """

    def __init__(self, settings: Settings, consent: ConfirmCost) -> None:
        self.settings = settings
        self.consent = consent
        self._clients: dict[str, Any] = {}

    @cached_property
    def boto(self) -> Any:
        """The boto3 session. Raises BackendError without a region."""
        import boto3

        settings = self.settings.sagemaker
        with translate_aws_errors("opening the AWS session"):
            session = boto3.Session(profile_name=settings.profile or None, region_name=settings.region or None)
        if session.region_name is None:
            raise BackendError(
                "there is no AWS region; set region in [sagemaker] of kennel.toml, or AWS_DEFAULT_REGION"
            )
        return session

    def client(self, service: str) -> Any:
        """The boto3 client of a service, made once. Raises BackendError for another account's credentials."""
        if service not in self._clients:
            if self.settings.sagemaker.account and service != "sts":
                _ = self.identity
            from botocore.config import Config

            with translate_aws_errors(f"opening {service}"):
                self._clients[service] = self.boto.client(service, config=Config(**_CONFIG))
        return self._clients[service]

    @property
    def region(self) -> str:
        return str(self.boto.region_name)

    @cached_property
    def identity(self) -> dict[str, str]:
        """{"Account", "Arn", "UserId"} of whoever asks."""
        with translate_aws_errors("asking AWS who you are"):
            answer: dict[str, str] = self.client("sts").get_caller_identity()
        expected = self.settings.sagemaker.account
        if expected and answer["Account"] != expected:
            raise BackendError(
                f"these credentials ({answer['Arn']}) are of account {answer['Account']}, and this is in {expected}; "
                "use some of that (AWS_PROFILE, or profile in [sagemaker] of kennel.toml)"
            )
        return answer

    @cached_property
    def role(self) -> str:
        """The execution role's ARN. Raises BackendError when none is set."""
        setting = self.settings.sagemaker.role
        if not setting:
            raise BackendError(_NO_ROLE)
        if setting.startswith("arn:"):
            return setting
        partition = self.identity["Arn"].split(":")[1]
        return f"arn:{partition}:iam::{self.identity['Account']}:role/{setting}"

    @cached_property
    def image(self) -> str:
        """The image's URI in ECR. Raises BackendError when none is set."""
        setting = self.settings.sagemaker.image
        if not setting:
            raise BackendError(_NO_IMAGE)
        return setting

    def check_settings(self) -> None:
        """Raises BackendError naming every missing setting that all jobs need, before anything is sent."""
        settings = self.settings.sagemaker
        faults = [fault for value, fault in ((settings.role, _NO_ROLE), (settings.image, _NO_IMAGE)) if not value]
        if faults:
            raise BackendError(describe_faults("setting", faults))

    @property
    def bucket_name(self) -> str:
        """The name of the bucket that everything lies in, which may not be there yet."""
        # Named as the SDK does, whose own way asks STS at a fixed address, past AWS_ENDPOINT_URL and VPC endpoints.
        return self.settings.sagemaker.bucket or f"sagemaker-{self.region}-{self.identity['Account']}"

    @cached_property
    def bucket(self) -> str:
        """The bucket that everything lies in; SageMaker's default one of account and region is made when missing."""
        name = self.bucket_name
        if self.settings.sagemaker.bucket:
            return name
        try:
            with translate_aws_errors("looking for the bucket"):
                self.client("s3").head_bucket(Bucket=name, ExpectedBucketOwner=self.identity["Account"])
        except AwsError as error:
            if not error.missing:
                raise
            self._make_bucket(name)
        return name

    def _make_bucket(self, name: str) -> None:
        # Where buckets were made before there were regions, none is named.
        where = {} if self.region == "us-east-1" else {"LocationConstraint": self.region}
        with translate_aws_errors(f"making the bucket {name}"):
            self.client("s3").create_bucket(Bucket=name, **({"CreateBucketConfiguration": where} if where else {}))

    @cached_property
    def session(self) -> Any:
        """The SDK's Session, on the same clients."""
        Session = sdk("session").Session  # noqa: N806 - a class
        # Else it checks SDK_CONFIG against its schema here and for every argument of every class: seconds for one job.
        for module in ("session", "utils"):
            sdk(module).validate_sagemaker_config = lambda _config: None
        with translate_aws_errors("opening the SageMaker session"):
            return Session(
                boto_session=self.boto,
                sagemaker_client=self.client("sagemaker"),
                sagemaker_runtime_client=self.client("sagemaker-runtime"),
                default_bucket=self.bucket,
                sagemaker_config=SDK_CONFIG,
            )

    def location(self, inside: str) -> S3Location:
        """BUCKET/PREFIX/inside."""
        return S3Location(self.bucket, f"{self.settings.sagemaker.prefix.strip('/')}/{inside}")

    def run_location(self, run: Run) -> S3Location:
        """Where a run's own objects lie: BUCKET/PREFIX/runs/NAME."""
        return self.location(f"runs/{resource_name(run)}")

    @property
    def encryption(self) -> dict[str, str]:
        """Arguments of an upload by which S3 encrypts with the chosen key; none without one."""
        key = self.settings.sagemaker.kms_key
        return {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": key} if key else {}

    def volume_key(self, instance_type: str) -> str | None:
        """The key for an instance's volume, if one is set and the type has volumes that take it."""
        key = self.settings.sagemaker.kms_key
        return key if key and has_volumes(instance_type) else None


def aws_record(run: Run) -> dict[str, Any]:
    """What was noted; empty when nothing was."""
    record: dict[str, Any] = run.record.get("sagemaker") or {}
    return record


def update_aws_record(account: Account, run: Run, **values: Any) -> None:
    """Add to it: `job`, `endpoint`, ... with the names in the account; and where that is."""
    where = {
        "name": resource_name(run),
        "region": account.region,
        "account": account.identity["Account"],
        "bucket": account.bucket,
        "prefix": account.settings.sagemaker.prefix,
    }
    run.update(sagemaker={**aws_record(run), **where, **values})
