#!/usr/bin/env bash
# Makes in your AWS account, from the files beside it: the role kennel-execution, which jobs and endpoints run as, and
# the policies kennel-person, for whoever runs Kennel, and kennel-push, for whoever pushes the image.
# The last line on standard output is the role's ARN; all other output goes to standard error.
#
#   docs/iam/create.sh [BUCKET]             (default SageMaker's own bucket, sagemaker-REGION-ACCOUNT)
#
# Needs the aws command, a region, and credentials that may change IAM. What is there is brought up to date, so it can
# be run again. Settings, from the environment:
#   VPC=1                                   jobs will run in your own VPC
#   KMS=1                                   what is stored will be encrypted with a key of your own
#   AWS_REGION, AWS_PROFILE ...             as for the aws command
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)

say() { printf '%s\n' "$*" >&2; }
die() { say "create.sh: $*"; exit 1; }

case "${1-}" in -h | --help) awk 'NR > 1 { if (!/^#/) exit; sub(/^# ?/, ""); print }' "$0"; exit 0 ;; esac
[ $# -le 1 ] || die "too many arguments ($#); --help says more."
command -v aws >/dev/null || die "the aws command is not on PATH: install the AWS CLI (https://aws.amazon.com/cli/)."
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region 2>/dev/null || true)}}
[ -n "$region" ] || die "no region: set AWS_REGION, for example to eu-central-1."
export AWS_DEFAULT_REGION=$region AWS_PAGER=''
identity=$(aws sts get-caller-identity --query '[Account, Arn]' --output text) ||
    die "no AWS credentials that work: run aws configure or aws sso login, or set AWS_PROFILE."
account=${identity%%[[:space:]]*}
partition=$(printf '%s' "$identity" | sed -n 's/.*\tarn:\([a-z-]*\):.*/\1/p')
bucket=${1:-sagemaker-$region-$account}
[[ $bucket =~ ^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$ ]] || die "'$bucket' is no bucket's name."

filled() { sed "s/ACCOUNT/$account/g; s/BUCKET/$bucket/g; s/arn:aws:/arn:$partition:/g" "$here/$1"; }

role_policy() {
    say "  $1"
    aws iam put-role-policy --role-name kennel-execution --policy-name "${1%.json}" --policy-document "$(filled "$1")"
}

# A managed policy has up to five versions; the new one becomes the default, and the one before it goes.
managed_policy() {
    local arn=arn:$partition:iam::$account:policy/$1 before
    say "policy $1, from $2"
    if before=$(aws iam get-policy --policy-arn "$arn" --query Policy.DefaultVersionId --output text 2>/dev/null); then
        aws iam create-policy-version --policy-arn "$arn" --set-as-default --policy-document "$(filled "$2")" >/dev/null
        aws iam delete-policy-version --policy-arn "$arn" --version-id "$before"
    else
        aws iam create-policy --policy-name "$1" --policy-document "$(filled "$2")" >/dev/null
    fi
}

say "role kennel-execution, which SageMaker alone may take, for $bucket:"
trust=$(filled execution-role-trust.json)
if aws iam get-role --role-name kennel-execution >/dev/null 2>&1; then
    aws iam update-assume-role-policy --role-name kennel-execution --policy-document "$trust"
else
    aws iam create-role --role-name kennel-execution --assume-role-policy-document "$trust" \
        --description "What Kennel's jobs and endpoints on SageMaker run as" >/dev/null
fi
role_policy execution-role.json
[ -z "${VPC-}" ] || role_policy execution-role-vpc.json
[ -z "${KMS-}" ] || role_policy execution-role-kms.json
managed_policy kennel-person person.json
[ -z "${KMS-}" ] || managed_policy kennel-person-kms person-kms.json
managed_policy kennel-push push.json
say "attach the policies to your users, as in
  aws iam attach-user-policy --user-name NAME --policy-arn arn:$partition:iam::$account:policy/kennel-person
and set in [sagemaker] of kennel.toml: role = \"kennel-execution\"${1:+, bucket = \"$bucket\"}"
printf '%s\n' "arn:$partition:iam::$account:role/kennel-execution"
