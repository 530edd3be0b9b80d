#!/usr/bin/env python3
"""Holds the templates to what they promise: who may do what, and the settings that correctness or safety rests on.

    check_policies.py              the check; prints every problem, exits 1 if there is one
    check_policies.py --self-test  breaks the templates in memory, one thing at a time, and sees the check find it

GRANTS is the whole of what each role may do. A permission that is not in the table is a problem, and so is one that is in
the table and not in the template.
"""

import copy
import json
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cloudformation

HERE = Path(__file__).resolve().parent
MAIN, FLEET = "template.yaml", "gpu-fleet.yaml"

Template = dict[str, Any]
Grant = tuple[str, str]
"""An action and a resource, both as text."""

# ------------------------------------------------------------------------------------------------------- what is right

URL = ["sqs:GetQueueUrl"]
RECEIVE = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"]
MAPPED = [*RECEIVE, "sqs:GetQueueAttributes"]
"""An event source mapping asks for the attributes, too."""
SEND = ["sqs:SendMessage"]
PREFIX = {"Fn::If": ["HasPrefix", {"Ref": "QueuePrefix"}, {"Ref": "AWS::StackName"}]}
ANY_QUEUE = json.dumps({"Fn::Sub": ["arn:${AWS::Partition}:sqs:${AWS::Region}:${AWS::AccountId}:${Prefix}-*", {"Prefix": PREFIX}]},
                       sort_keys=True)
"""Every queue of the deployment, those that are missing included."""
LOG = ["logs:CreateLogStream", "logs:PutLogEvents"]
GROUP = ("arn:${AWS::Partition}:autoscaling:${AWS::Region}:${AWS::AccountId}:autoScalingGroup:*"
         ":autoScalingGroupName/${AWS::StackName}")


def queues(*names: str) -> list[str]:
    return [f"{name}.Arn" for name in names]


def keys(*patterns: str) -> list[str]:
    return [f"${{Bucket.Arn}}/${{Namespace}}/{pattern}" for pattern in patterns]


def grants(*groups: tuple[list[str], list[str]]) -> set[Grant]:
    return {(action, resource) for actions, resources in groups for action in actions for resource in resources}


EXPRESS = (["s3express:CreateSession"], ["ExpressBucket.Arn"])
LIST = (["s3:ListBucket"], ["Bucket.Arn"])
ACTIVITY_KEYS = ["${Bucket.Arn}/${ActivityPrefix}/*"]
WORKER_BUCKET = grants(
    (["s3:GetObject"], keys("workflow/*", "message/*", "check") + ACTIVITY_KEYS),
    (["s3:PutObject"], keys("workflow/??/*/*/activity/*", "workflow/??/*/*/payload/*", "message/*") + ACTIVITY_KEYS),
    LIST, EXPRESS,
)
GRANTS: dict[str, dict[str, set[Grant]]] = {
    MAIN: {
        "OrchestratorRole": grants(
            (LOG, ["OrchestratorLogs.Arn"]),
            (MAPPED, queues("Inbox", "Events")),
            (SEND, queues("Inbox", "Events", "TaskCpu", "TaskGpu", "InboxDead", "EventsDead")),
            (URL, [ANY_QUEUE]),
            (["s3:GetObject", "s3:PutObject"], keys("*")),
            (["s3:DeleteObject"], keys("index/*", "message/*", "timer/*")),
            LIST, EXPRESS,
        ),
        "CpuWorkerRole": WORKER_BUCKET | grants(
            (LOG, ["CpuWorkerLogs.Arn"]),
            (MAPPED + URL, queues("TaskCpu")),
            (SEND + URL, queues("Events", "TaskCpu", "TaskCpuDead")),
        ),
        "DeadLettersRole": grants(
            (LOG, ["DeadLettersLogs.Arn"]),
            (RECEIVE + URL, queues("TaskCpuDead", "TaskGpuDead")),
            (SEND + URL, queues("Events")),
            (["s3:GetObject"], keys("message/*", "check")),
            (["s3:PutObject"], keys("message/*")),
            LIST, EXPRESS,
        ),
        "TimerTickRole": grants(
            (LOG, ["TimerTickLogs.Arn"]),
            (SEND, queues("Events", "TaskCpu", "TaskGpu")),
            (URL, [ANY_QUEUE]),
            (["s3:GetObject"], keys("timer/*", "index/*", "workflow/*", "message/*", "swept", "check")),
            (["s3:PutObject"], keys("index/*", "message/*", "swept", "workflow/??/*/*/activity/*")),
            (["s3:DeleteObject"], keys("timer/*", "index/*", "workflow/*")),
            LIST, EXPRESS,
        ),
        "WorkerBucketPolicy": WORKER_BUCKET,
        "StarterPolicy": grants((SEND + URL, queues("Inbox")), (["s3:PutObject"], keys("inbox-payload/*"))),
        "ReaderPolicy": grants((["s3:GetObject"], keys("*")), LIST, EXPRESS),
    },
    FLEET: {
        "WorkerRole": WORKER_BUCKET | grants(
            (RECEIVE + URL, ["import TaskGpuArn"]),
            (SEND + URL, ["import EventsArn", "import TaskGpuArn", "import TaskGpuDeadArn"]),
            (["s3:GetObject"], ["arn:${AWS::Partition}:s3:::${CodeBucket}/${CodePrefix}/gpu-worker"]),
            (["autoscaling:TerminateInstanceInAutoScalingGroup"], [GROUP]),
        ),
        "ScalerRole": grants(
            (LOG, ["ScalerLogs.Arn"]),
            (["sqs:GetQueueAttributes", *URL], ["import TaskGpuArn"]),
            (["autoscaling:DescribeAutoScalingGroups"], ["*"]),
            (["autoscaling:SetDesiredCapacity"], [GROUP]),
        ),
    },
}

WILDCARDS: list[tuple[str, str, str]] = [
    # action, pattern of the resource, reason
    (r"s3:(Get|Put|Delete)Object", r"\$\{Bucket\.Arn\}/\$\{(Namespace|ActivityPrefix)\}/.*",
     "keys of one namespace; objects have names that nobody knows beforehand"),
    (r"sqs:GetQueueUrl", re.escape(ANY_QUEUE), "a missing queue is told from a denied one only to who may ask for it"),
    (r"autoscaling:DescribeAutoScalingGroups", r"\*", "AWS knows no resource for this action"),
    (r"autoscaling:(SetDesiredCapacity|TerminateInstanceInAutoScalingGroup)", re.escape(GROUP),
     "the id in a group's ARN is known only once it exists; the name behind it is exact"),
]
USERS_OWN_POLICIES = {"CpuWorkerPolicyArn", "GpuWorkerPolicyArn"}

RECEIVES = {"Inbox": 1000, "Events": 1000, "TaskCpu": 5, "TaskGpu": 50}
NAMES = {"Inbox": "inbox", "Events": "events", "TaskCpu": "task-cpu", "TaskGpu": "task-gpu"}
INTERNAL = {"Events", "TaskCpu", "TaskGpu"}
FLEETS = "arn:${AWS::Partition}:iam::${AWS::AccountId}:role/millrace/${AWS::StackName}/fleet/*"
RETENTION = 14 * 24 * 3600
ENVIRONMENT = {"MILLRACE_BUCKET", "MILLRACE_QUEUE_PREFIX", "MILLRACE_NAMESPACE", "MILLRACE_LOG", "MILLRACE_BUILD"}
MAPPINGS = {("Inbox", "Orchestrator"), ("Events", "Orchestrator"), ("TaskCpu", "CpuWorker")}
EXPIRING = {"${Namespace}/message/", "${Namespace}/inbox-payload/"}
"""The only keys that may expire by age: a run may be open for a year."""
EXPIRY = {
    "Effect": "Allow", "Principal": {"Service": "lifecycle.s3.amazonaws.com"}, "Action": "s3express:CreateSession",
    "Resource": {"Fn::GetAtt": ["ExpressBucket", "Arn"]},
    "Condition": {"StringEquals": {"s3express:SessionMode": "ReadWrite"},
                  "StringEqualsIfExists": {"aws:SourceAccount": {"Ref": "AWS::AccountId"}}},
}
"""What the rules of a directory bucket need; those of an ordinary one need nothing."""
LONGEST_REFERENCE_DAYS = 28
"""A message's 14 days, twice: once more after a redrive."""


# ---------------------------------------------------------------------------------------------------------- the check


class Problems(list[str]):
    def unless(self, condition: object, text: str) -> None:
        if not condition:
            self.append(text)


def check(templates: dict[str, Template]) -> list[str]:
    """Everything that is wrong, a line each."""
    problems = Problems()
    for name, template in templates.items():
        check_grants(problems, name, templates)
        check_functions(problems, template)
        check_permissions(problems, template)
    main = templates[MAIN]
    check_queues(problems, main)
    check_queue_policies(problems, templates)
    check_bucket(problems, main)
    check_retention(problems, main)
    check_mappings(problems, main)
    check_alarms(problems, main)
    check_imports(problems, templates)
    check_fleet(problems, templates[FLEET])
    return problems


def of_type(template: Template, *types: str) -> dict[str, Any]:
    resources = template["Resources"].items()
    return {name: resource.get("Properties", {}) for name, resource in resources if resource["Type"] in types}


def branches(value: Any) -> Iterator[Any]:
    """What a value may be: both sides of each Fn::If, the members of each list, nothing for NoValue."""
    if isinstance(value, list):
        for item in value:
            yield from branches(item)
    elif isinstance(value, dict) and "Fn::If" in value:
        yield from branches(value["Fn::If"][1:])
    elif value != {"Ref": "AWS::NoValue"}:
        yield value


def text(value: Any) -> str:
    """A resource as the tables write it."""
    match value:
        case str():
            return value
        case {"Fn::GetAtt": [name, attribute]}:
            return f"{name}.{attribute}"
        case {"Fn::Sub": str(body)}:
            return body
        case {"Fn::ImportValue": {"Fn::Sub": body}}:
            return "import " + body.removeprefix("${MainStack}-")
        case {"Ref": name}:
            return name
    return json.dumps(value, sort_keys=True)


def statements(document: Any) -> Iterator[dict[str, Any]]:
    for each in branches(document):
        yield from branches(each["Statement"])


def attached(name: str, properties: dict[str, Any], template: Template, main: Template, problems: Problems) -> Iterator[Any]:
    """The documents of a role: its own, those of managed policies of the templates, those attached from outside."""
    for policy in branches(properties.get("Policies", [])):
        yield policy["PolicyDocument"]
    for policy in branches(properties.get("ManagedPolicyArns", [])):
        referred = text(policy).removeprefix("import ").removesuffix("Arn") if text(policy).startswith("import ") else text(policy)
        if referred in of_type(main, "AWS::IAM::ManagedPolicy"):
            yield main["Resources"][referred]["Properties"]["PolicyDocument"]
        elif referred not in USERS_OWN_POLICIES:
            problems.append(f"{name}: attaches {referred}, which this check cannot see into")
    for policy in of_type(template, "AWS::IAM::Policy").values():
        if {"Ref": name} in policy["Roles"]:
            yield policy["PolicyDocument"]


def check_grants(problems: Problems, file: str, templates: dict[str, Template]) -> None:
    template, main, expected = templates[file], templates[MAIN], GRANTS[file]
    holders = of_type(template, "AWS::IAM::Role", "AWS::IAM::ManagedPolicy")
    for name in sorted(set(holders) ^ set(expected)):
        problems.append(f"{file}: {name} is in the template or in the table of this check, but not in both")
    for name in sorted(set(holders) & set(expected)):
        properties = holders[name]
        if "AssumeRolePolicyDocument" in properties:
            documents = list(attached(name, properties, template, main, problems))
            check_trust(problems, name, properties["AssumeRolePolicyDocument"])
        else:
            documents = [properties["PolicyDocument"]]
        found = set()
        for statement in (s for document in documents for s in statements(document)):
            problems.unless(statement["Effect"] == "Allow", f"{name}: only what is allowed belongs into a role")
            problems.unless(not {"NotAction", "NotResource"} & set(statement), f"{name}: says what it may not, not what it may")
            found |= {(a, text(r)) for a in branches(statement.get("Action", [])) for r in branches(statement.get("Resource", []))}
            check_condition(problems, name, statement)
        for action, resource in sorted(found):
            check_wildcard(problems, name, action, resource)
        for action, resource in sorted(found - expected[name]):
            problems.append(f"{name}: {action} on {resource} is not needed")
        for action, resource in sorted(expected[name] - found):
            problems.append(f"{name}: {action} on {resource} is missing")


def check_wildcard(problems: Problems, name: str, action: str, resource: str) -> None:
    problems.unless(not re.search(r"[*?]", action), f"{name}: wildcard action {action}")
    known = any(re.fullmatch(a, action) and re.fullmatch(r, resource) for a, r, _ in WILDCARDS)
    problems.unless(not re.search(r"[*?]", resource) or known, f"{name}: wildcard resource {resource} for {action}")


def check_condition(problems: Problems, name: str, statement: dict[str, Any]) -> None:
    if "s3:ListBucket" not in branches(statement["Action"]):
        return
    prefixes = statement.get("Condition", {}).get("StringLike", {}).get("s3:prefix", [])
    allowed = r"\$\{(Namespace|ActivityPrefix)\}/.+"
    listed = [text(prefix) for prefix in branches(prefixes)]
    fine = listed and all(re.fullmatch(allowed, prefix) for prefix in listed)
    problems.unless(fine, f"{name}: may list more than its prefixes")


def check_trust(problems: Problems, name: str, document: Any) -> None:
    for statement in statements(document):
        service = statement["Principal"].get("Service") if isinstance(statement["Principal"], dict) else None
        fine = service in ("lambda.amazonaws.com", "ec2.amazonaws.com") and statement["Action"] == "sts:AssumeRole"
        problems.unless(fine, f"{name}: may be taken on by {statement['Principal']}")


def check_functions(problems: Problems, template: Template) -> None:
    for name, function in of_type(template, "AWS::Lambda::Function").items():
        loop = function.get("RecursiveLoop")
        problems.unless(loop == "Allow", f"{name}: RecursiveLoop is {loop}; AWS would stop a workflow after about 16 steps")
        fixed = {"Runtime": "provided.al2023", "Architectures": ["arm64"], "Handler": "bootstrap"}
        for key, value in fixed.items():
            problems.unless(function.get(key) == value, f"{name}: {key} is not {value}")
        missing = ENVIRONMENT - set(function["Environment"]["Variables"])
        problems.unless(not missing, f"{name}: its environment lacks {sorted(missing)}")
        group = text(function.get("LoggingConfig", {}).get("LogGroup", ""))
        kept = of_type(template, "AWS::Logs::LogGroup").get(group, {}).get("RetentionInDays")
        problems.unless(kept, f"{name}: its log group has no retention")
        problems.unless(text(function["Role"]).removesuffix(".Arn") in GRANTS[MAIN] | GRANTS[FLEET], f"{name}: unknown role")
        problems.unless("ReservedConcurrentExecutions" not in function, f"{name}: reserved concurrency burns receive counts")


def check_permissions(problems: Problems, template: Template) -> None:
    for name, permission in of_type(template, "AWS::Lambda::Permission").items():
        fine = permission["Principal"] == "events.amazonaws.com" and "SourceArn" in permission
        problems.unless(fine, f"{name}: anyone but one rule may call the function")


def check_queues(problems: Problems, main: Template) -> None:
    found = of_type(main, "AWS::SQS::Queue")
    problems.unless(set(found) == set(RECEIVES) | {f"{name}Dead" for name in RECEIVES}, "there are other queues than the eight")
    for name, queue in found.items():
        problems.unless(queue.get("MessageRetentionPeriod") == RETENTION, f"{name}: messages are not kept for 14 days")
        problems.unless(queue.get("SqsManagedSseEnabled") is True, f"{name}: not encrypted")
    for name, receives in RECEIVES.items():
        queue, dead = found.get(name, {}), found.get(f"{name}Dead", {})
        wanted = {"deadLetterTargetArn": {"Fn::GetAtt": [f"{name}Dead", "Arn"]}, "maxReceiveCount": receives}
        problems.unless(queue.get("RedrivePolicy") == wanted, f"{name}: must go to {name}Dead after {receives} receives")
        allow = dead.get("RedriveAllowPolicy", {})
        sources = json.dumps(allow.get("sourceQueueArns", []))
        only_own = allow.get("redrivePermission") == "byQueue" and sources.count("arn:") == 1
        problems.unless(only_own and f"${{Prefix}}-{NAMES[name]}\"" in sources, f"{name}Dead: takes more than {name}'s messages")
        for each, suffix in ((queue, ""), (dead, "-dead")):
            fine = json.dumps(each.get("QueueName")).startswith(f'{{"Fn::Sub": ["${{Prefix}}-{NAMES[name]}{suffix}"')
            problems.unless(fine, f"{name}{suffix}: is not named ${{Prefix}}-{NAMES[name]}{suffix}")


def check_queue_policies(problems: Problems, templates: dict[str, Template]) -> None:
    main = templates[MAIN]
    covered: dict[str, list[dict[str, Any]]] = {name: [] for name in of_type(main, "AWS::SQS::Queue")}
    for name, policy in of_type(main, "AWS::SQS::QueuePolicy").items():
        found = list(statements(policy["PolicyDocument"]))
        problems.unless(all(s["Effect"] == "Deny" for s in found), f"{name}: a queue's policy opens it to somebody")
        for queue in policy["Queues"]:
            covered[text(queue)].extend(found)
    senders = {f"{name}.Arn" for name, grants in GRANTS[MAIN].items() if name.endswith("Role")
               and any(a == "sqs:SendMessage" and r.removesuffix(".Arn") in INTERNAL for a, r in grants)}
    for name, found in covered.items():
        problems.unless(any(is_tls_only(s) for s in found), f"{name}: can be used without TLS")
        if name in INTERNAL:
            problems.unless(any(keeps_strangers_out(s, senders) for s in found), f"{name}: strangers may send to it")


def is_tls_only(statement: dict[str, Any]) -> bool:
    condition = statement.get("Condition") == {"Bool": {"aws:SecureTransport": "false"}}
    return condition and statement["Effect"] == "Deny" and statement["Principal"] == "*" and statement["Action"].endswith(":*")


def keeps_strangers_out(statement: dict[str, Any], senders: set[str]) -> bool:
    known = statement.get("Condition", {}).get("ArnNotLike", {}).get("aws:PrincipalArn", [])
    allowed = {text(arn) for arn in branches(known)}
    denies = statement["Effect"] == "Deny" and statement["Principal"] == "*" and statement["Action"] == "sqs:SendMessage"
    return denies and set(statement["Condition"]) == {"ArnNotLike"} and allowed == senders | {FLEETS, "OperatorArn"}


def check_bucket(problems: Problems, main: Template) -> None:
    for name, bucket in of_type(main, "AWS::S3::Bucket").items():
        block = bucket.get("PublicAccessBlockConfiguration", {})
        problems.unless(len(block) == 4 and all(v is True for v in block.values()), f"{name}: could become public")
        encryption = json.dumps(bucket.get("BucketEncryption", ""))
        problems.unless('"SSEAlgorithm": "AES256"' in encryption, f"{name}: not encrypted with SSE-S3")
        owners = json.dumps(bucket.get("OwnershipControls", ""))
        problems.unless("BucketOwnerEnforced" in owners, f"{name}: access control lists count")
        problems.unless("VersioningConfiguration" not in bucket, f"{name}: every version of every history would be kept")
    for name, bucket in of_type(main, "AWS::S3::Bucket", "AWS::S3Express::DirectoryBucket").items():
        kept = main["Resources"][name]
        both = (kept.get("DeletionPolicy"), kept.get("UpdateReplacePolicy"))
        problems.unless(both == ("Retain", "Retain"), f"{name}: goes with the stack, and the runs with it")
        for rule in bucket.get("LifecycleConfiguration", {}).get("Rules", []):
            if set(rule) - {"Id", "Status", "AbortIncompleteMultipartUpload"}:
                fine = text(rule.get("Prefix", "")) in EXPIRING and rule.get("ExpirationInDays", 0) > LONGEST_REFERENCE_DAYS
                problems.unless(fine, f"{name}: the rule {rule['Id']} may remove what is still needed")
    policies = of_type(main, "AWS::S3::BucketPolicy", "AWS::S3Express::BucketPolicy")
    problems.unless(len(policies) == 2, "a bucket has no policy")
    for name, policy in policies.items():
        found = list(statements(policy["PolicyDocument"]))
        opened = [{key: value for key, value in s.items() if key != "Sid"} for s in found if s["Effect"] != "Deny"]
        expires = "Express" in name
        problems.unless(all(expires and s == EXPIRY for s in opened), f"{name}: opens the bucket to somebody")
        problems.unless(opened or not expires, f"{name}: S3 may not expire anything in the bucket")
        problems.unless(any(is_tls_only(s) for s in found), f"{name}: the bucket can be used without TLS")
    guard = [s for s in statements(policies.get("BucketPolicy", {"PolicyDocument": []})["PolicyDocument"]) if s["Action"] == "s3:PutObject"]
    wanted = {"Null": {"s3:if-none-match": "true", "s3:if-match": "true"}}
    logs = set(keys("workflow/??/*/history", "workflow/??/*/*/events/*", "workflow/??/*/*/activity/*"))
    fine = len(guard) == 1 and guard[0]["Condition"] == wanted and {text(r) for r in guard[0]["Resource"]} == logs
    problems.unless(fine, "BucketPolicy: histories can be overwritten without a condition")


def check_retention(problems: Problems, main: Template) -> None:
    """Histories can be deleted only where a retention is set."""
    for name, role in of_type(main, "AWS::IAM::Role").items():
        kept = json.loads(json.dumps(role), object_hook=lambda o: {"Ref": "AWS::NoValue"} if o.get("Fn::If", [""])[0] == "Purges" else o)
        for policy in branches(kept.get("Policies", [])):
            for each in statements(policy["PolicyDocument"]):
                deletes = "s3:DeleteObject" in branches(each["Action"])
                histories = any("/workflow/" in text(resource) for resource in branches(each["Resource"]))
                problems.unless(not (deletes and histories), f"{name}: may delete histories where they are kept for ever")


def check_mappings(problems: Problems, main: Template) -> None:
    mappings = of_type(main, "AWS::Lambda::EventSourceMapping")
    found = {(text(m["EventSourceArn"]).removesuffix(".Arn"), text(m["FunctionName"])) for m in mappings.values()}
    problems.unless(found == MAPPINGS, f"the event source mappings are {sorted(found)}")
    for name, mapping in mappings.items():
        partial = mapping.get("FunctionResponseTypes") == ["ReportBatchItemFailures"]
        problems.unless(partial, f"{name}: one failed message would bring back its whole batch")
        problems.unless("MaximumConcurrency" in mapping.get("ScalingConfig", {}), f"{name}: no maximum concurrency")
        problems.unless("MaximumBatchingWindowInSeconds" not in mapping, f"{name}: a batching window delays every step")
    parameters = main["Parameters"]
    timeout = main["Resources"]["Orchestrator"]["Properties"]["Timeout"]
    problems.unless(parameters["OrchestratorVisibility"]["Default"] >= 6 * timeout, "OrchestratorVisibility: less than six timeouts")
    longest = parameters["CpuWorkerTimeout"]["MaxValue"]
    problems.unless(parameters["CpuTaskVisibility"]["Default"] > longest, "CpuTaskVisibility: not above the longest timeout")


def check_alarms(problems: Problems, main: Template) -> None:
    alarms = of_type(main, "AWS::CloudWatch::Alarm")
    watched = {(text(d["Value"]), alarm["MetricName"]) for alarm in alarms.values() for d in alarm.get("Dimensions", [])}
    for name in RECEIVES:
        age = (f"{name}.QueueName", "ApproximateAgeOfOldestMessage")
        problems.unless(age in watched, f"{name}: no alarm on the age of its oldest message")
        dead = json.dumps(alarms.get(f"{name}DeadAlarm", {}).get("Metrics", ""))
        both = all(f"ApproximateNumberOfMessages{kind}" in dead for kind in ("Visible", "NotVisible"))
        problems.unless(both and f'["{name}Dead", "QueueName"]' in dead, f"{name}Dead: no alarm on its messages")
    problems.unless(any(metric == "RunsBlocked" for _, metric in watched), "no alarm on blocked runs")
    for metric in ("Errors", "Throttles", "Invocations"):
        problems.unless(("Orchestrator", metric) in watched, f"no alarm on the orchestrator's {metric}")
    for name, alarm in alarms.items():
        problems.unless(alarm.get("TreatMissingData") == "notBreaching", f"{name}: would ring for a system at rest")
        problems.unless(alarm.get("AlarmActions") and alarm.get("OKActions"), f"{name}: tells nobody")


def check_imports(problems: Problems, templates: dict[str, Template]) -> None:
    exported = {text(o["Export"]["Name"]) for o in templates[MAIN]["Outputs"].values() if "Export" in o}
    found = set(re.findall(r'"Fn::ImportValue": \{"Fn::Sub": "([^"]+)"', json.dumps(templates[FLEET]["Resources"])))
    for name in sorted(found):
        wanted = name.replace("${MainStack}", "${AWS::StackName}")
        problems.unless(wanted in exported, f"{FLEET} imports {name}, which {MAIN} does not export")


def check_fleet(problems: Problems, fleet: Template) -> None:
    group = fleet["Resources"]["Group"]["Properties"]
    problems.unless(group.get("NewInstancesProtectedFromScaleIn") is True, "Group: a busy machine could be scaled in")
    problems.unless("DesiredCapacity" not in group, "Group: an update would set the capacity back")
    problems.unless(group["MinSize"] == "0", "Group: does not go to zero")
    data = fleet["Resources"]["LaunchTemplate"]["Properties"]["LaunchTemplateData"]
    problems.unless(data["MetadataOptions"].get("HttpTokens") == "required", "LaunchTemplate: instance metadata without a token")
    path = text(fleet["Resources"]["WorkerRole"]["Properties"].get("Path", ""))
    as_main = path.replace("${MainStack}", "${AWS::StackName}")
    problems.unless(FLEETS.endswith(f":role{as_main}*"), "WorkerRole: its path is not the one that may send to events")


# ------------------------------------------------------------------------------------------------------ the self-test


def properties(templates: dict[str, Template], name: str, file: str = MAIN) -> dict[str, Any]:
    return templates[file]["Resources"][name]["Properties"]


def statement(templates: dict[str, Template], role: str, policy: str, index: int) -> dict[str, Any]:
    named = [p for p in branches(properties(templates, role)["Policies"]) if p["PolicyName"] == policy]
    return named[0]["PolicyDocument"]["Statement"][index]


def drop(value: dict[str, Any], key: str) -> None:
    del value[key]


MUTATIONS: list[tuple[str, Callable[[dict[str, Template]], Any]]] = [
    ("wildcard action sqs:*", lambda t: statement(t, "OrchestratorRole", "queues", 0).update(Action="sqs:*")),
    ("wildcard resource *", lambda t: statement(t, "CpuWorkerRole", "queues", 1).update(Resource="*")),
    ("sqs:PurgeQueue on Inbox.Arn is not needed",
     lambda t: statement(t, "OrchestratorRole", "queues", 0)["Action"].append("sqs:PurgeQueue")),
    ("s3:DeleteObject on ${Bucket.Arn}/${Namespace}/* is not needed",
     lambda t: statement(t, "OrchestratorRole", "bucket", 0)["Action"].append("s3:DeleteObject")),
    ("TimerTickRole: may delete histories where they are kept for ever",
     lambda t: statement(t, "TimerTickRole", "bucket", 2).update(
         Resource=[{"Fn::Sub": "${Bucket.Arn}/${Namespace}/workflow/*"}])),
    ("OrchestratorRole: sqs:GetQueueUrl on {",
     lambda t: statement(t, "OrchestratorRole", "queues", 2).update(Resource={"Fn::GetAtt": ["Inbox", "Arn"]})),
    ("TimerTickRole: wildcard resource {",
     lambda t: statement(t, "TimerTickRole", "queues", 1).update(Action=["sqs:GetQueueUrl", "sqs:SendMessage"])),
    ("sqs:SendMessage on Events.Arn is missing",
     lambda t: statement(t, "DeadLettersRole", "queues", 1).update(Action=["sqs:GetQueueUrl"])),
    ("may list more than its prefixes", lambda t: drop(statement(t, "TimerTickRole", "bucket", -1), "Condition")),
    ("which this check cannot see into", lambda t: properties(t, "CpuWorkerRole")["ManagedPolicyArns"].append(
        "arn:aws:iam::aws:policy/AmazonS3FullAccess")),
    ("may be taken on by *", lambda t: properties(t, "TimerTickRole")["AssumeRolePolicyDocument"]["Statement"][0].update(Principal="*")),
    ("in the template or in the table", lambda t: t[MAIN]["Resources"].update(
        Extra={"Type": "AWS::IAM::Role", "Properties": {}})),
    ("StarterPolicy: sqs:SendMessage on Events.Arn is not needed", lambda t: properties(t, "StarterPolicy")[
        "PolicyDocument"]["Statement"][0].update(Resource=[{"Fn::GetAtt": ["Inbox", "Arn"]}, {"Fn::GetAtt": ["Events", "Arn"]}])),
    ("CpuWorker: RecursiveLoop is None", lambda t: drop(properties(t, "CpuWorker"), "RecursiveLoop")),
    ("Scaler: RecursiveLoop is Terminate", lambda t: properties(t, "Scaler", FLEET).update(RecursiveLoop="Terminate")),
    ("DeadLetters: its environment lacks", lambda t: drop(properties(t, "DeadLetters")["Environment"]["Variables"], "MILLRACE_BUCKET")),
    ("its log group has no retention", lambda t: drop(properties(t, "OrchestratorLogs"), "RetentionInDays")),
    ("anyone but one rule", lambda t: drop(properties(t, "TickPermission"), "SourceArn")),
    ("EventsDead: messages are not kept", lambda t: drop(properties(t, "EventsDead"), "MessageRetentionPeriod")),
    ("Inbox: must go to InboxDead", lambda t: drop(properties(t, "Inbox"), "RedrivePolicy")),
    ("TaskGpu: must go to TaskGpuDead after 50", lambda t: properties(t, "TaskGpu")["RedrivePolicy"].update(maxReceiveCount=5)),
    ("TaskCpuDead: takes more than", lambda t: drop(properties(t, "TaskCpuDead"), "RedriveAllowPolicy")),
    ("Events: strangers may send", lambda t: properties(t, "InternalQueuesPolicy")["PolicyDocument"]["Statement"].pop()),
    ("TaskCpu: strangers may send", lambda t: properties(t, "InternalQueuesPolicy")["PolicyDocument"]["Statement"][1][
        "Condition"]["ArnNotLike"]["aws:PrincipalArn"].append("*")),
    ("opens it to somebody", lambda t: properties(t, "QueuesPolicy")["PolicyDocument"]["Statement"].append(
        {"Effect": "Allow", "Principal": "*", "Action": "sqs:SendMessage", "Resource": "*"})),
    ("InboxDead: can be used without TLS", lambda t: properties(t, "QueuesPolicy").update(Queues=[{"Ref": "Inbox"}])),
    ("Bucket: could become public", lambda t: properties(t, "Bucket")["PublicAccessBlockConfiguration"].update(BlockPublicPolicy=False)),
    ("Bucket: not encrypted", lambda t: drop(properties(t, "Bucket"), "BucketEncryption")),
    ("goes with the stack", lambda t: drop(t[MAIN]["Resources"]["Bucket"], "DeletionPolicy")),
    ("may remove what is still needed", lambda t: properties(t, "Bucket")["LifecycleConfiguration"]["Rules"].append(
        {"Id": "old-runs", "Status": "Enabled", "Prefix": {"Fn::Sub": "${Namespace}/workflow/"}, "ExpirationInDays": 365})),
    ("overwritten without a condition", lambda t: properties(t, "BucketPolicy")["PolicyDocument"]["Statement"].pop()),
    ("ExpressBucketPolicy: opens the bucket", lambda t: properties(t, "ExpressBucketPolicy")["PolicyDocument"]["Statement"][1].update(
        Principal="*")),
    ("may not expire anything", lambda t: properties(t, "ExpressBucketPolicy")["PolicyDocument"]["Statement"].pop()),
    ("one failed message", lambda t: drop(properties(t, "EventsMapping"), "FunctionResponseTypes")),
    ("no maximum concurrency", lambda t: drop(properties(t, "TaskCpuMapping"), "ScalingConfig")),
    ("less than six timeouts", lambda t: properties(t, "Orchestrator").update(Timeout=60)),
    ("no alarm on blocked runs", lambda t: drop(t[MAIN]["Resources"], "RunsBlockedAlarm")),
    ("TaskGpuDead: no alarm", lambda t: drop(t[MAIN]["Resources"], "TaskGpuDeadAlarm")),
    ("does not export", lambda t: drop(t[MAIN]["Outputs"], "EventsArn")),
    ("could be scaled in", lambda t: drop(properties(t, "Group", FLEET), "NewInstancesProtectedFromScaleIn")),
    ("its path is not the one", lambda t: drop(properties(t, "WorkerRole", FLEET), "Path")),
    ("WorkerRole: wildcard resource *", lambda t: properties(t, "WorkerRole", FLEET)["Policies"][1]["PolicyDocument"][
        "Statement"][1].update(Resource="*")),
]


def self_test(templates: dict[str, Template]) -> list[str]:
    """Mutations that the check does not find, or does not find for the reason that was given."""
    missed = []
    for wanted, mutate in MUTATIONS:
        broken = copy.deepcopy(templates)
        mutate(broken)
        found = check(broken)
        if not any(wanted in problem for problem in found):
            missed.append(f"not found: {wanted!r}; found instead: {found}")
    return missed


def main() -> int:
    templates = {name: cloudformation.load(HERE / name) for name in (MAIN, FLEET)}
    if sys.argv[1:] == ["--self-test"]:
        problems, done = self_test(templates), f"{len(MUTATIONS)} ways to break the templates, all found"
    elif not sys.argv[1:]:
        roles = sum(map(len, GRANTS.values()))
        problems, done = check(templates), f"{roles} roles and policies hold exactly what the table says"
    else:
        print(__doc__, file=sys.stderr)
        return 2
    for problem in problems:
        print(problem, file=sys.stderr)
    if not problems:
        print(done)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
