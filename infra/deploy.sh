#!/usr/bin/env bash
# Builds, uploads and deploys: infra/deploy.sh STACK [options]
#
#   --code-bucket BUCKET     where the code is uploaded to; default millrace-code-ACCOUNT-REGION, made if it is missing
#   --parameter KEY=VALUE    a parameter of template.yaml; may be given many times. Those not given keep their value.
#   --gpu                    deploy the GPU fleet STACK-gpu as well
#   --gpu-parameter KEY=VALUE  a parameter of gpu-fleet.yaml, for example VpcId=vpc-1 and SubnetIds=subnet-1,subnet-2
#   --gpu-arch ARCH          processor of the fleet's machines: x86_64 (default) or arm64
#   --no-build               upload what target/lambda holds
#
# Region and credentials are those of the AWS CLI (AWS_PROFILE, AWS_REGION, ...). Safe to run again.
set -euo pipefail
cd "$(dirname "$0")/.."

fail() {
    echo "infra/deploy.sh: $1" >&2
    exit 1
}

stack="" bucket="" gpu="" gpu_arch=x86_64 build=yes
parameters=() gpu_parameters=()
while [ $# -gt 0 ]; do
    case $1 in
    --code-bucket | --parameter | --gpu-parameter | --gpu-arch)
        [ $# -ge 2 ] || fail "$1 needs a value"
        case $1 in
        --code-bucket) bucket=$2 ;;
        --parameter) parameters+=("$2") ;;
        --gpu-parameter) gpu_parameters+=("$2") ;;
        --gpu-arch) gpu_arch=$2 ;;
        esac
        shift
        ;;
    --gpu) gpu=yes ;;
    --no-build) build="" ;;
    -h | --help)
        sed -n '2,12s/^# \{0,1\}//p' "$0"
        exit 0
        ;;
    -*) fail "unknown option $1; see --help" ;;
    *)
        [ -z "$stack" ] || fail "one stack, not $stack and $1"
        stack=$1
        ;;
    esac
    shift
done
[ -n "$stack" ] || fail "name the stack: infra/deploy.sh millrace"
longest=29
case " ${parameters[*]-}" in *" QueuePrefix="?*) longest=47 ;; esac
[[ $stack =~ ^[A-Za-z][A-Za-z0-9-]*$ && ${#stack} -le $longest ]] ||
    fail "$stack cannot name a stack: letters, digits and hyphens, at most 29 (47 with a shorter QueuePrefix)"
for pair in ${parameters[@]+"${parameters[@]}"} ${gpu_parameters[@]+"${gpu_parameters[@]}"}; do
    [[ $pair == *=* ]] || fail "a parameter is KEY=VALUE, not $pair"
done
command -v aws >/dev/null || fail "the AWS CLI is missing; install version 2"
region=${AWS_REGION:-${AWS_DEFAULT_REGION:-$(aws configure get region || true)}}
[ -n "$region" ] || fail "no region; set AWS_REGION"
export AWS_REGION=$region AWS_DEFAULT_REGION=$region AWS_PAGER=""
account=$(aws sts get-caller-identity --query Account --output text) ||
    fail "the AWS CLI has no working credentials; set AWS_PROFILE or run: aws configure sso"

functions=(orchestrator cpu-worker dead-letters timer-tick)
if [ -n "$build" ]; then
    infra/build.sh --arch arm64 "${functions[@]}" ${gpu:+fleet-scaler}
    [ -z "$gpu" ] || infra/build.sh --arch "$gpu_arch" gpu-worker
fi
files=()
for name in "${functions[@]}"; do files+=("target/lambda/arm64/$name.zip"); done
[ -z "$gpu" ] || files+=(target/lambda/arm64/fleet-scaler.zip "target/lambda/$gpu_arch/gpu-worker")
for file in "${files[@]}"; do
    [ -f "$file" ] || fail "$file is missing; run infra/build.sh, or this without --no-build"
done

bucket=${bucket:-millrace-code-$account-$region}
if ! aws s3api head-bucket --bucket "$bucket" >/dev/null 2>&1; then
    aws s3 mb "s3://$bucket" >/dev/null || fail "cannot make the bucket $bucket; name one of yours with --code-bucket"
fi
# The prefix is made of the contents: CloudFormation sees new code by its new key, and keeps what did not change.
prefix=$stack/$(cat "${files[@]}" | python3 -c 'import hashlib, sys; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest()[:16])')
for file in "${files[@]}"; do
    aws s3 cp --only-show-errors "$file" "s3://$bucket/$prefix/$(basename "$file")" ||
        fail "cannot upload to $bucket; the caller needs s3:PutObject there"
done

# deploy_stack NAME TEMPLATE KEY=VALUE...
deploy_stack() {
    local name=$1 template=$2
    shift 2
    # The template is above what fits into a request, so it goes through the bucket.
    aws cloudformation deploy --stack-name "$name" --template-file "$template" --capabilities CAPABILITY_IAM \
        --s3-bucket "$bucket" --s3-prefix "$prefix" --no-fail-on-empty-changeset --parameter-overrides "$@" || {
        echo "infra/deploy.sh: $name could not be deployed. What failed:" >&2
        aws cloudformation describe-stack-events --stack-name "$name" --output text --query \
            "StackEvents[?ends_with(ResourceStatus, '_FAILED')].[LogicalResourceId, ResourceStatusReason]" >&2 || true
        fail "a stack in ROLLBACK_COMPLETE must be deleted first: aws cloudformation delete-stack --stack-name $name"
    }
}

output() {
    aws cloudformation describe-stacks --stack-name "$stack" --output text \
        --query "Stacks[0].Outputs[?OutputKey=='$1'].OutputValue"
}

deploy_stack "$stack" infra/template.yaml "CodeBucket=$bucket" "CodePrefix=$prefix" ${parameters[@]+"${parameters[@]}"}
if [ -n "$gpu" ]; then
    deploy_stack "$stack-gpu" infra/gpu-fleet.yaml "MainStack=$stack" "CodeBucket=$bucket" "CodePrefix=$prefix" \
        "AlarmTopicArn=$(output AlarmTopicArn)" ${gpu_parameters[@]+"${gpu_parameters[@]}"}
fi

aws cloudformation describe-stacks --stack-name "$stack" --output table \
    --query 'Stacks[0].Outputs[].[OutputKey, OutputValue]'
cat <<END

Start a workflow:
  aws sqs send-message --region $region --queue-url $(output InboxUrl) \\
    --message-body '{"type":"start","workflow":"TrainTestDeploy","id":"digits-1","input":{"threshold":0.9}}'
Find its history:
  aws s3 ls --recursive s3://$(output BucketName)/$(output Namespace)/workflow/ | grep digits-1
END
