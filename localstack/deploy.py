#!/usr/bin/env python3
"""Deploys infra/template.yaml to an emulator, and prints the stack's outputs as JSON.

    deploy.py --endpoint http://127.0.0.1:4566 --stack millrace --code target/lambda/host [--parameter Key=Value ...]

The template is the one that AWS gets. What an emulator does not do with it is made up for here, and listed in README.md.
It never speaks to AWS: its credentials are `test`.
"""

import argparse
import hashlib
import json
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import venvs

venvs.enter("deploy")

import boto3  # noqa: E402 (the environment comes first)
import botocore.config  # noqa: E402
import botocore.exceptions  # noqa: E402

INFRA = venvs.HERE.parent / "infra"
sys.path.insert(0, str(INFRA))

import cloudformation  # noqa: E402

TEMPLATE = INFRA / "template.yaml"
FUNCTION_TYPES = ("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission")


class Failed(Exception):
    """What went wrong, for a person."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.py", description="Deploys the template to an emulator.")
    parser.add_argument("--endpoint", required=True, help="the emulator, for example http://127.0.0.1:4566")
    parser.add_argument("--stack", required=True, help="name of the stack")
    parser.add_argument("--code", type=Path, help="folder with one zip for each function")
    parser.add_argument("--parameter", action="append", default=[], metavar="KEY=VALUE", help="may be given many times")
    parser.add_argument("--template", type=Path, default=TEMPLATE)
    parser.add_argument("--without-functions", action="store_true", help="leave out functions, mappings and schedules")
    parser.add_argument("--delete", action="store_true", help="delete the stack; the bucket and its runs stay")
    parser.add_argument("--region", default="us-east-1")
    parser.add_argument("--timeout", type=float, default=120, metavar="SECONDS")
    args = parser.parse_args()
    try:
        cloud = Cloud(args.endpoint, args.region, args.timeout)
        if args.delete:
            cloud.delete(args.stack)
            return 0
        outputs = deploy(cloud, args)
    except Failed as error:
        print(f"localstack/deploy.py: {error}", file=sys.stderr)
        return 1
    except (botocore.exceptions.ClientError, botocore.exceptions.BotoCoreError) as error:
        print(f"localstack/deploy.py: {args.endpoint}: {error}", file=sys.stderr)
        return 1
    print(json.dumps(outputs, indent=2, sort_keys=True))
    return 0


def deploy(cloud: "Cloud", args: argparse.Namespace) -> dict[str, str]:
    template = cloudformation.load(args.template)
    parameters = dict(_pair(text) for text in args.parameter)
    unknown = sorted(set(parameters) - set(template["Parameters"]))
    if unknown:
        raise Failed(f"no such parameter in {args.template.name}: {', '.join(unknown)}")
    zips = {} if args.without_functions else find_zips(template, args.code)
    if args.without_functions:
        template = without_functions(template)
    if cloud.kind == "ministack":
        template = without(template, metric_math_alarms(template))
        write_out_concurrency(template, parameters)
        name_images(cloud, template, parameters)
    elif cloud.kind == "localstack":
        template = decided(template, parameters)
    bucket = f"{args.stack.lower()}-code"
    prefix = upload(cloud, bucket, zips)
    parameters = {"CodeBucket": bucket, "CodePrefix": prefix} | parameters
    stack = cloud.apply(args.stack, json.dumps(template, separators=(",", ":")), parameters, bucket)
    if cloud.kind == "ministack":
        make_up_for_ministack(cloud, args.stack, template, zips)
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def _pair(text: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not sign:
        raise Failed(f"--parameter takes KEY=VALUE, not {text!r}")
    return key, value


def find_zips(template: dict[str, Any], code: Path | None) -> dict[str, Path]:
    """The zip of each function, by the function's logical name."""
    if code is None:
        raise Failed("--code is missing: the folder with the functions' zips (infra/build.sh --host makes it)")
    zips = {}
    for name, resource in template["Resources"].items():
        if resource["Type"] == "AWS::Lambda::Function":
            zips[name] = code / Path(resource["Properties"]["Code"]["S3Key"]["Fn::Sub"]).name
    missing = sorted(path.name for path in zips.values() if not path.is_file())
    if missing:
        raise Failed(f"{code} lacks {', '.join(missing)}; infra/build.sh --host makes them")
    return zips


def upload(cloud: "Cloud", bucket: str, zips: dict[str, Path]) -> str:
    """Uploads the zips under a prefix made of their contents: CloudFormation compares keys, not contents."""
    bodies = {path.name: path.read_bytes() for path in zips.values()}
    hashes = "".join(f"{name} {hashlib.sha256(body).hexdigest()}\n" for name, body in sorted(bodies.items()))
    prefix = hashlib.sha256(hashes.encode()).hexdigest()[:16]
    cloud.s3.create_bucket(Bucket=bucket)
    for name, body in bodies.items():
        cloud.s3.put_object(Bucket=bucket, Key=f"{prefix}/{name}", Body=body)
    return prefix


def without_functions(template: dict[str, Any]) -> dict[str, Any]:
    """The template without functions, and without what refers to one: mappings, permissions, schedules, alarms."""
    return without(template, {name for name, r in template["Resources"].items() if r["Type"] in FUNCTION_TYPES})


def metric_math_alarms(template: dict[str, Any]) -> set[str]:
    """Alarms over an expression: ministack refuses them, and the whole stack with them."""
    alarms = {name: r for name, r in template["Resources"].items() if r["Type"] == "AWS::CloudWatch::Alarm"}
    return {name for name, alarm in alarms.items() if "Metrics" in alarm["Properties"]}


def write_out_concurrency(template: dict[str, Any], parameters: dict[str, str]) -> None:
    """Maximum concurrency as a number in place of a reference: ministack keeps a parameter's value as text there, and
    its poller then fails on every message."""
    for resource in template["Resources"].values():
        if resource["Type"] == "AWS::Lambda::EventSourceMapping":
            scaling = resource["Properties"]["ScalingConfig"]
            name = scaling["MaximumConcurrency"]["Ref"]
            scaling["MaximumConcurrency"] = int(parameters.get(name, template["Parameters"][name]["Default"]))


def name_images(cloud: "Cloud", template: dict[str, Any], parameters: dict[str, str]) -> None:
    """An image for each parameter that is looked up in SSM: the emulator has none of AWS's own, nor lets one make them."""
    for name, parameter in template["Parameters"].items():
        if parameter["Type"] == "AWS::SSM::Parameter::Value<AWS::EC2::Image::Id>":
            key = parameters.setdefault(name, f"/millrace/{name}")
            cloud.ssm.put_parameter(Name=key, Value="ami-00000000000000001", Type="String", Overwrite=True)


def without(template: dict[str, Any], gone: set[str]) -> dict[str, Any]:
    """The template without some resources, and without what refers to them."""
    resources = template["Resources"]
    while more := {name for name, r in resources.items() if name not in gone and cloudformation.references(r) & gone}:
        gone = gone | more
    outputs = {name: output for name, output in template["Outputs"].items() if not cloudformation.references(output) & gone}
    return template | {"Resources": {n: r for n, r in resources.items() if n not in gone}, "Outputs": outputs}


def decided(template: dict[str, Any], parameters: dict[str, str]) -> dict[str, Any]:
    """The template with its conditions decided: LocalStack creates a stack with a resource that is conditioned away and
    referred to, and then cannot delete it."""
    values = {name: str(parameters.get(name, p.get("Default", ""))) for name, p in template["Parameters"].items()}
    conditions = template["Conditions"]

    def holds(condition: Any) -> bool:
        match condition:
            case {"Fn::Equals": [left, right]}:
                return values.get(left["Ref"]) == right
            case {"Fn::Not": [inner]}:
                return not holds(inner)
            case {"Fn::And": inner}:
                return all(map(holds, inner))
            case {"Condition": name}:
                return holds(conditions[name])
        raise Failed(f"cannot decide the condition {condition}")

    def decide(value: Any) -> Any:
        if isinstance(value, list):
            return [each for each in map(decide, value) if each != {"Ref": "AWS::NoValue"}]
        if not isinstance(value, dict):
            return value
        if "Fn::If" in value:
            name, then, otherwise = value["Fn::If"]
            return decide(then if holds(conditions[name]) else otherwise)
        fields = {key: decide(field) for key, field in value.items()}
        return {key: field for key, field in fields.items() if field != {"Ref": "AWS::NoValue"}}

    kept = {n: r for n, r in template["Resources"].items() if "Condition" not in r or holds(conditions[r["Condition"]])}
    resources = {name: {k: v for k, v in decide(r).items() if k != "Condition"} for name, r in kept.items()}
    rest = {key: value for key, value in template.items() if key not in ("Conditions", "Rules")}
    return rest | {"Resources": resources, "Outputs": decide(template["Outputs"])}


def make_up_for_ministack(cloud: "Cloud", stack: str, template: dict[str, Any], zips: dict[str, Path]) -> None:
    """ministack's CloudFormation drops RecursiveLoop, and makes a function without code when the zip cannot be read."""
    ids = cloud.physical_ids(stack)
    for name, path in zips.items():
        properties = template["Resources"][name]["Properties"]
        cloud.functions.put_function_recursion_config(FunctionName=ids[name], RecursiveLoop=properties["RecursiveLoop"])
        config = cloud.functions.get_function_configuration(FunctionName=ids[name])
        if config["CodeSize"] != path.stat().st_size:
            raise Failed(f"{ids[name]}: the emulator did not take {path.name}")


class Cloud:
    """An emulator, through the ordinary clients."""

    def __init__(self, endpoint: str, region: str, timeout_s: float) -> None:
        self.timeout_s = timeout_s
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=region)
        config = botocore.config.Config(s3={"addressing_style": "path"}, retries={"total_max_attempts": 3}, proxies={})
        make = lambda service: session.client(service, endpoint_url=endpoint, config=config)
        self.s3, self.stacks, self.functions = make("s3"), make("cloudformation"), make("lambda")
        self.ssm = make("ssm")
        self.endpoint = endpoint.rstrip("/")
        # Not through a proxy that the environment may name.
        self.http = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    @property
    def kind(self) -> str:
        """Which emulator it is, by the health page that answers."""
        for kind in ("ministack", "localstack"):
            try:
                with self.http.open(f"{self.endpoint}/_{kind}/health", timeout=5):
                    return kind
            except OSError:
                continue
        return "unknown"

    def apply(self, name: str, body: str, parameters: dict[str, str], bucket: str) -> dict[str, Any]:
        """Creates or updates the stack and waits."""
        # By its address, not in the request: the limit there is 51,200 bytes.
        key = f"template/{hashlib.sha256(body.encode()).hexdigest()[:16]}.json"
        self.s3.put_object(Bucket=bucket, Key=key, Body=body.encode())
        request = {
            "StackName": name,
            "TemplateURL": f"{self.endpoint}/{bucket}/{key}",
            "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }
        before = self._describe(name)
        try:
            if before is None or before["StackStatus"] == "DELETE_COMPLETE":
                self.stacks.create_stack(**request, OnFailure="DO_NOTHING")
            else:
                self.stacks.update_stack(**request)
        except botocore.exceptions.ClientError as error:
            if "No updates are to be performed" not in str(error):
                raise
            return self._describe(name) or {}
        stack = self._settled(name)
        if stack is None or stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
            raise Failed(self._why(name, stack))
        return stack

    def delete(self, name: str) -> None:
        """Deletes the stack and waits."""
        if self._describe(name) is None:
            return
        self.stacks.delete_stack(StackName=name)
        stack = self._settled(name)
        if stack is not None and stack["StackStatus"] != "DELETE_COMPLETE":
            raise Failed(self._why(name, stack))

    def physical_ids(self, name: str) -> dict[str, str]:
        """The stack's resources: logical name to physical id."""
        pages = self.stacks.get_paginator("list_stack_resources").paginate(StackName=name)
        return {r["LogicalResourceId"]: r.get("PhysicalResourceId", "") for p in pages for r in p["StackResourceSummaries"]}

    def _describe(self, name: str) -> dict[str, Any] | None:
        try:
            return self.stacks.describe_stacks(StackName=name)["Stacks"][0]
        except botocore.exceptions.ClientError as error:
            if "does not exist" in str(error):
                return None
            raise

    def _settled(self, name: str) -> dict[str, Any] | None:
        deadline = time.monotonic() + self.timeout_s
        while True:
            stack = self._describe(name)
            if stack is None or not stack["StackStatus"].endswith("_IN_PROGRESS"):
                return stack
            if time.monotonic() > deadline:
                raise Failed(f"{name} is still {stack['StackStatus']} after {self.timeout_s:.0f} s")
            time.sleep(0.1)

    def _why(self, name: str, stack: dict[str, Any] | None) -> str:
        status = stack["StackStatus"] if stack else "gone"
        reason = (stack or {}).get("StackStatusReason", "")
        lines = [f"stack {name} is {status}. {reason}".rstrip()]
        events = self.stacks.describe_stack_events(StackName=name)["StackEvents"] if stack else []
        for event in reversed(events):
            if event["ResourceStatus"].endswith("_FAILED"):
                what = f"{event['LogicalResourceId']} ({event['ResourceType']})"
                lines.append(f"  {what}: {event.get('ResourceStatusReason', event['ResourceStatus'])}")
        return "\n".join(dict.fromkeys(lines))


if __name__ == "__main__":
    sys.exit(main())
