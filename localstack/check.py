#!/usr/bin/env python3
"""The template on ministack, with functions that only write down what they are called with.

Starts the emulator, deploys infra/template.yaml as it is, and checks what came out of it: settings, deliveries, dead
letters, a schedule, an update, the removal. Run it with the environment of ministack, or let it find that itself.
"""

import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import venvs

venvs.enter("ministack")

import boto3  # noqa: E402 (the environment comes first)
import botocore.config  # noqa: E402
import botocore.exceptions  # noqa: E402

STACK = "check"
FUNCTIONS = ("orchestrator", "cpu-worker", "dead-letters", "timer-tick")
RECEIVES = {"inbox": 1000, "events": 1000, "task-cpu": 5, "task-gpu": 50}
# Short, so that what fails comes back while we wait. AWS would refuse less than the functions' timeouts.
VISIBILITY = {"OrchestratorVisibility": 1, "CpuTaskVisibility": 1, "GpuTaskVisibility": 7}
STUB = '''#!/usr/bin/env python3
import json, os, urllib.request
api = "http://" + os.environ["AWS_LAMBDA_RUNTIME_API"] + "/2018-06-01/runtime/invocation/"
name = os.environ["AWS_LAMBDA_FUNCTION_NAME"]
env = {k: v for k, v in os.environ.items() if k.startswith("MILLRACE_")}
call = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
while True:
    with call(api + "next") as answer:
        id, event = answer.headers["Lambda-Runtime-Aws-Request-Id"], json.load(answer)
    with open(os.path.join(os.environ["STUB_CALLS"], name), "a") as out:
        out.write(json.dumps({"event": event, "env": env}) + "\\n")
    failed = [r["messageId"] for r in event.get("Records", []) if r["body"] == "fail"]
    body = json.dumps({"batchItemFailures": [{"itemIdentifier": m} for m in failed]}).encode()
    call(urllib.request.Request(api + id + "/response", body, method="POST")).close()
'''


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        code, calls = Path(folder, "code"), Path(folder, "calls")
        calls.mkdir()
        make_zips(code)
        with emulator(calls) as endpoint:
            Check(endpoint, code, calls).run()
    return 0


def make_zips(folder: Path) -> None:
    folder.mkdir()
    for name in (*FUNCTIONS, "fleet-scaler"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, STUB)


@contextmanager
def emulator(calls: Path) -> Iterator[str]:
    start = [str(venvs.HERE / "start.sh"), "ministack"]
    env = os.environ | {"STUB_CALLS": str(calls)}
    process = subprocess.Popen(start, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env)
    try:
        line = process.stdout.readline().split()
        if line[:1] != ["ready"]:
            sys.exit(process.wait())
        yield line[1]
    finally:
        process.stdin.close()
        process.wait(30)


class Check:
    def __init__(self, endpoint: str, code: Path, calls: Path) -> None:
        self.endpoint, self.code, self.calls = endpoint, code, calls
        session = boto3.Session("test", "test", region_name="us-east-1")
        config = botocore.config.Config(s3={"addressing_style": "path"}, proxies={})
        make = lambda service: session.client(service, endpoint_url=endpoint, config=config)
        self.s3, self.sqs, self.functions, self.events = make("s3"), make("sqs"), make("lambda"), make("events")
        self.iam, self.ec2, self.groups = make("iam"), make("ec2"), make("autoscaling")
        self.outputs: dict[str, str] = {}

    def run(self) -> None:
        started = time.monotonic()
        self.outputs = self.deploy()
        steps: list[Callable[[], None]] = [self.queues, self.policies, self.bucket, self.functions_as_written, self.mappings, self.deliveries,
                 self.failures_come_back, self.dead_letters, self.schedules, self.fleet, self.update, self.no_change,
                 self.poll_fires, self.without_functions, self.errors, self.removal]
        for step in steps:
            step()
            print(f"ok {step.__name__.replace('_', ' ')} ({time.monotonic() - started:.0f} s)", flush=True)

    def deploy(self, *more: str, fails: bool = False, stack: str = STACK) -> Any:
        command = [sys.executable, str(venvs.HERE / "deploy.py"), "--endpoint", self.endpoint, "--stack", stack]
        of_main = not any(option.startswith("--template") for option in more)
        parameters = [f"--parameter={key}={value}" for key, value in VISIBILITY.items() if of_main]
        done = subprocess.run([*command, *parameters, *(more or ["--code", str(self.code)])], capture_output=True, text=True,
                              check=False)
        if fails:
            assert done.returncode != 0, done
            return done.stderr
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout or "null")

    def url(self, name: str) -> str:
        return self.sqs.get_queue_url(QueueName=f"{STACK}-{name}")["QueueUrl"]

    def attributes(self, name: str) -> dict[str, str]:
        return self.sqs.get_queue_attributes(QueueUrl=self.url(name), AttributeNames=["All"])["Attributes"]

    def called(self, function: str) -> list[dict[str, Any]]:
        path = self.calls / f"{STACK}-{function}"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def received(self, function: str, body: str) -> list[dict[str, Any]]:
        return [r for call in self.called(function) for r in call["event"].get("Records", []) if r["body"] == body]

    # What was made

    def queues(self) -> None:
        for name, receives in RECEIVES.items():
            live, dead = self.attributes(name), self.attributes(f"{name}-dead")
            for queue in (live, dead):
                equal(queue["MessageRetentionPeriod"], "1209600")
                equal(queue["SqsManagedSseEnabled"], "true")
            redrive = json.loads(live["RedrivePolicy"])
            equal((redrive["deadLetterTargetArn"], int(redrive["maxReceiveCount"])), (dead["QueueArn"], receives))
            allow = json.loads(dead["RedriveAllowPolicy"])
            equal((allow["redrivePermission"], allow["sourceQueueArns"]), ("byQueue", [live["QueueArn"]]))
        visibilities = [self.attributes(name)["VisibilityTimeout"] for name in RECEIVES]
        equal(visibilities, ["1", "1", "1", "7"])

    def policies(self) -> None:
        for name in RECEIVES:
            internal = name != "inbox"
            statements = {s["Sid"]: s for s in json.loads(self.attributes(name)["Policy"])["Statement"]}
            equal(set(statements), {"OnlyTls", "OnlyTheSystemSends"} if internal else {"OnlyTls"})
            if internal:
                allowed = statements["OnlyTheSystemSends"]["Condition"]["ArnNotLike"]["aws:PrincipalArn"]
                roles = {role["Arn"] for role in self.iam.list_roles()["Roles"]}
                equal(len(set(allowed) & roles), 4)
            assert "Policy" in self.attributes(f"{name}-dead"), name

    def bucket(self) -> None:
        bucket = self.outputs["BucketName"]
        rules = self.s3.get_bucket_encryption(Bucket=bucket)["ServerSideEncryptionConfiguration"]["Rules"]
        equal(rules[0]["ApplyServerSideEncryptionByDefault"]["SSEAlgorithm"], "AES256")
        block = self.s3.get_public_access_block(Bucket=bucket)["PublicAccessBlockConfiguration"]
        equal(set(block.values()), {True})
        policy = json.loads(self.s3.get_bucket_policy(Bucket=bucket)["Policy"])
        equal([s["Sid"] for s in policy["Statement"]], ["OnlyTls", "OnlyConditionalWritesOfLogs"])
        # The rule of compare-and-swap itself.
        key = "default/workflow/00/x/history"
        self.s3.put_object(Bucket=bucket, Key=key, Body=b"1", IfNoneMatch="*")
        try:
            self.s3.put_object(Bucket=bucket, Key=key, Body=b"2", IfNoneMatch="*")
        except botocore.exceptions.ClientError as error:
            equal(error.response["ResponseMetadata"]["HTTPStatusCode"], 412)
        else:
            raise AssertionError("the second writer won")

    def functions_as_written(self) -> None:
        wanted = {"orchestrator": (256, 30), "cpu-worker": (1024, 900), "dead-letters": (128, 60), "timer-tick": (256, 900)}
        for name, (memory, timeout) in wanted.items():
            full = f"{STACK}-{name}"
            config = self.functions.get_function_configuration(FunctionName=full)
            equal((config["MemorySize"], config["Timeout"]), (memory, timeout))
            equal((config["Runtime"], config["Architectures"]), ("provided.al2023", ["arm64"]))
            env = config["Environment"]["Variables"]
            equal(env["MILLRACE_BUCKET"], self.outputs["BucketName"])
            equal((env["MILLRACE_QUEUE_PREFIX"], env["MILLRACE_NAMESPACE"], env["MILLRACE_LOG"]), (STACK, "default", "info"))
            equal(self.functions.get_function_recursion_config(FunctionName=full)["RecursiveLoop"], "Allow")

    def mappings(self) -> None:
        found = {}
        for mapping in self.functions.list_event_source_mappings()["EventSourceMappings"]:
            equal(mapping["FunctionResponseTypes"], ["ReportBatchItemFailures"])
            function = mapping["FunctionArn"].rsplit(":", 1)[-1].removeprefix(f"{STACK}-")
            queue = mapping["EventSourceArn"].rsplit(":", 1)[-1].removeprefix(f"{STACK}-")
            found[queue] = (function, mapping["BatchSize"], int(mapping["ScalingConfig"]["MaximumConcurrency"]))
        equal(found, {"inbox": ("orchestrator", 10, 50), "events": ("orchestrator", 10, 50), "task-cpu": ("cpu-worker", 1, 50)})

    # What it does

    def deliveries(self) -> None:
        for queue, function in (("inbox", "orchestrator"), ("events", "orchestrator"), ("task-cpu", "cpu-worker")):
            self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=f"to {queue}")
            until(lambda: self.received(function, f"to {queue}"), f"{function} is called for {queue}")
            record = self.received(function, f"to {queue}")[0]
            equal(record["eventSourceARN"].rsplit(":", 1)[-1], f"{STACK}-{queue}")
            until(lambda: self.count(queue) == 0, f"{queue} is empty")
        equal(self.called("cpu-worker")[0]["env"]["MILLRACE_TASK_QUEUE"], "cpu")
        self.sqs.send_message(QueueUrl=self.url("task-gpu"), MessageBody="for the fleet")
        got = self.sqs.receive_message(QueueUrl=self.url("task-gpu"), WaitTimeSeconds=5)["Messages"]
        equal([message["Body"] for message in got], ["for the fleet"])

    def failures_come_back(self) -> None:
        bodies = ["fine", "fail"]
        entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies)]
        self.sqs.send_message_batch(QueueUrl=self.url("events"), Entries=entries)
        until(lambda: len(self.received("orchestrator", "fail")) >= 3, "a failed message comes back")
        equal(len(self.received("orchestrator", "fine")), 1)
        self.sqs.purge_queue(QueueUrl=self.url("events"))

    def dead_letters(self) -> None:
        self.sqs.send_message(QueueUrl=self.url("task-cpu"), MessageBody="fail")
        until(lambda: self.count("task-cpu-dead") == 1, "a task that fails five times is a dead letter", 60)
        equal(len(self.received("cpu-worker", "fail")), 5)

    def schedules(self) -> None:
        found = {}
        for rule in self.events.list_rules()["Rules"]:
            for target in self.events.list_targets_by_rule(Rule=rule["Name"])["Targets"]:
                key = (target["Arn"].rsplit(":", 1)[-1].removeprefix(f"{STACK}-"), rule["ScheduleExpression"])
                found[key] = target.get("Input")
                equal(rule["State"], "ENABLED")
        equal(found, {("dead-letters", "rate(1 minute)"): None, ("timer-tick", "rate(5 minutes)"): '{"do":"tick"}',
                      ("timer-tick", "rate(1 day)"): '{"do":"sweep"}'})

    def poll_fires(self) -> None:
        until(lambda: self.called("dead-letters"), "dead-letters is called by its schedule", 130)
        equal(self.called("dead-letters")[0]["env"]["MILLRACE_TASK_QUEUES"], "cpu=5,gpu=50")

    def fleet(self) -> None:
        vpc = self.ec2.describe_vpcs()["Vpcs"][0]["VpcId"]
        subnets = self.ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
        network = {"MainStack": STACK, "VpcId": vpc, "SubnetIds": ",".join(subnet["SubnetId"] for subnet in subnets)}
        parameters = [f"--parameter={key}={value}" for key, value in network.items()]
        template = f"--template={venvs.HERE.parent / 'infra' / 'gpu-fleet.yaml'}"
        name = f"{STACK}-gpu"
        outputs = self.deploy(template, "--code", str(self.code), *parameters, stack=name)
        role = outputs["WorkerRoleArn"].split(":")[-1]
        assert role.startswith(f"role/millrace/{STACK}/fleet/"), role
        group = self.groups.describe_auto_scaling_groups(AutoScalingGroupNames=[name])["AutoScalingGroups"][0]
        equal((group["MinSize"], group["DesiredCapacity"], group["NewInstancesProtectedFromScaleIn"]), (0, 0, True))
        scaler = self.functions.get_function_configuration(FunctionName=f"{name}-fleet-scaler")["Environment"]["Variables"]
        equal((scaler["MILLRACE_AUTO_SCALING_GROUP"], scaler["MILLRACE_QUEUE_PREFIX"]), (name, STACK))
        self.deploy("--delete", stack=name)

    # What becomes of it

    def update(self) -> None:
        before = self.outputs
        self.outputs = self.deploy("--code", str(self.code), "--parameter=OrchestratorMemory=512")
        equal(self.outputs, before)
        config = self.functions.get_function_configuration(FunctionName=f"{STACK}-orchestrator")
        equal(config["MemorySize"], 512)
        self.functions_recursion_survives()

    def functions_recursion_survives(self) -> None:
        for name in FUNCTIONS:
            config = self.functions.get_function_recursion_config(FunctionName=f"{STACK}-{name}")
            equal(config["RecursiveLoop"], "Allow")

    def no_change(self) -> None:
        equal(self.deploy("--code", str(self.code), "--parameter=OrchestratorMemory=512"), self.outputs)

    def without_functions(self) -> None:
        outputs = self.deploy("--without-functions", stack="bare")
        assert "InboxUrl" in outputs and "OrchestratorFunctionName" not in outputs, outputs
        self.deploy("--delete", stack="bare")

    def errors(self) -> None:
        lacking = self.code.parent / "lacking"
        shutil.copytree(self.code, lacking)
        (lacking / "timer-tick.zip").unlink()
        assert "timer-tick.zip" in self.deploy("--code", str(lacking), fails=True)
        assert "no such parameter" in self.deploy("--without-functions", "--parameter=Nonsense=1", fails=True)
        # A queue's name that SQS refuses: the failing resource is named.
        why = self.deploy("--without-functions", "--parameter=OrchestratorVisibility=999999", fails=True, stack="bad")
        assert "OrchestratorVisibility" in why or "Inbox" in why, why

    def removal(self) -> None:
        self.deploy("--delete")
        equal(self.functions.list_functions()["Functions"], [])
        equal([url for url in self.sqs.list_queues().get("QueueUrls", []) if f"/{STACK}-" in url], [])
        self.s3.head_bucket(Bucket=self.outputs["BucketName"])

    def count(self, queue: str) -> int:
        attributes = self.attributes(queue)
        return int(attributes["ApproximateNumberOfMessages"]) + int(attributes["ApproximateNumberOfMessagesNotVisible"])


def equal(found: Any, wanted: Any) -> None:
    if found != wanted:
        raise AssertionError(f"found {found!r}, wanted {wanted!r}")


def until(condition: Callable[[], Any], what: str, limit_s: float = 20) -> None:
    deadline = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s:.0f} s: {what}")
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main())
