"""A client that is not ours: boto3 on the emulator's S3, SQS, Lambda, CloudFormation and logs.

Reads one JSON object a line, `{"do": ..., ...}`, and answers each with a line: `{"ok": value}` or `{"error": text}`. It
knows the public contract only: queues by their names, objects by their keys. Ends when its input does.

    echo '{"do":"keys","bucket":"b","prefix":""}' | python foreign.py http://127.0.0.1:4566
"""

import base64
import hashlib
import json
import sys
import zipfile

import boto3
import botocore.config

REGION = "us-east-1"


class Cloud:
    def __init__(self, endpoint):
        session = boto3.Session(aws_access_key_id="test", aws_secret_access_key="test", region_name=REGION)
        config = botocore.config.Config(
            s3={"addressing_style": "path"}, retries={"total_max_attempts": 5}, proxies={}, read_timeout=90
        )
        make = lambda service: session.client(service, endpoint_url=endpoint, config=config)
        self.s3, self.sqs, self.functions, self.logs = make("s3"), make("sqs"), make("lambda"), make("logs")
        self.urls = {}

    # ------------------------------------------------------------------------------------------------------- queues

    def url(self, queue):
        if queue not in self.urls:
            self.urls[queue] = self.sqs.get_queue_url(QueueName=queue)["QueueUrl"]
        return self.urls[queue]

    def create_queue(self, queue, attributes=None):
        return self.sqs.create_queue(QueueName=queue, Attributes=attributes or {})["QueueUrl"]

    def send(self, queue, bodies):
        """In as few batches as possible; the ids of the messages."""
        ids = []
        for first in range(0, len(bodies), 10):
            entries = [{"Id": str(n), "MessageBody": body} for n, body in enumerate(bodies[first : first + 10])]
            answer = self.sqs.send_message_batch(QueueUrl=self.url(queue), Entries=entries)
            if answer.get("Failed"):
                raise RuntimeError(str(answer["Failed"]))
            ids += [sent["MessageId"] for sent in sorted(answer["Successful"], key=lambda sent: int(sent["Id"]))]
        return ids

    def send_one(self, queue, body):
        return self.sqs.send_message(QueueUrl=self.url(queue), MessageBody=body)["MessageId"]

    def receive(self, queue, wait_s=0, visibility_s=30, max=10):
        answer = self.sqs.receive_message(
            QueueUrl=self.url(queue), MaxNumberOfMessages=max, WaitTimeSeconds=wait_s, VisibilityTimeout=visibility_s,
            MessageAttributeNames=["All"], AttributeNames=["All"],
        )
        return [
            {
                "id": message["MessageId"],
                "receipt": message["ReceiptHandle"],
                "body": message["Body"],
                "receive_count": int(message["Attributes"]["ApproximateReceiveCount"]),
                "attributes": {k: v.get("StringValue") for k, v in message.get("MessageAttributes", {}).items()},
            }
            for message in answer.get("Messages", [])
        ]

    def delete(self, queue, receipt):
        self.sqs.delete_message(QueueUrl=self.url(queue), ReceiptHandle=receipt)

    def depth(self, queue):
        """How many messages can be received, are with a receiver, and are delayed."""
        names = {
            "visible": "ApproximateNumberOfMessages",
            "in_flight": "ApproximateNumberOfMessagesNotVisible",
            "delayed": "ApproximateNumberOfMessagesDelayed",
        }
        answer = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=list(names.values()))
        return {short: int(answer["Attributes"][name]) for short, name in names.items()}

    # ------------------------------------------------------------------------------------------------------- bucket

    def create_bucket(self, bucket):
        self.s3.create_bucket(Bucket=bucket)

    def keys(self, bucket, prefix):
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    def get(self, bucket, key):
        """The object in base 64; null if there is none."""
        try:
            body = self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()
        except self.s3.exceptions.NoSuchKey:
            return None
        return base64.b64encode(body).decode()

    def put(self, bucket, key, text):
        self.s3.put_object(Bucket=bucket, Key=key, Body=text.encode())

    def put_inbox_payload(self, bucket, namespace, text):
        """What a starter does with a message that is too large for the queue: the object, and what to send instead."""
        name = f"inbox-payload/{hashlib.sha256(text.encode()).hexdigest()}"
        self.put(bucket, f"{namespace}/{name}", text)
        return json.dumps({"v": 1, "body": name})

    def sha256(self, bucket, key):
        return hashlib.sha256(self.s3.get_object(Bucket=bucket, Key=key)["Body"].read()).hexdigest()

    # ---------------------------------------------------------------------------------------------------- functions

    def invoke(self, function, payload):
        answer = self.functions.invoke(FunctionName=function, Payload=json.dumps(payload).encode())
        body = json.loads(answer["Payload"].read() or b"null")
        if "FunctionError" in answer:
            raise RuntimeError(f"{function}: {body}")
        return body

    def set_timeout(self, function, timeout_s):
        self.functions.update_function_configuration(FunctionName=function, Timeout=timeout_s)
        self.functions.get_waiter("function_updated_v2").wait(FunctionName=function)

    def set_mapping(self, queue, enabled):
        """Lets a queue's event source mapping run, or stops it."""
        arn = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=["QueueArn"])
        arn = arn["Attributes"]["QueueArn"]
        for mapping in self.functions.list_event_source_mappings(EventSourceArn=arn)["EventSourceMappings"]:
            self.functions.update_event_source_mapping(UUID=mapping["UUID"], Enabled=enabled)

    def log(self, group):
        """All lines of a log group."""
        pages = self.logs.get_paginator("filter_log_events").paginate(logGroupName=group)
        try:
            return [event["message"] for page in pages for event in page["events"]]
        except self.logs.exceptions.ResourceNotFoundException:
            return []

    # ------------------------------------------------------------------------------------------------------- others

    def zip(self, binary, to):
        """A function's zip: its binary as `bootstrap`, not compressed, for it does not travel far."""
        with zipfile.ZipFile(to, "w", zipfile.ZIP_STORED) as package:
            entry = zipfile.ZipInfo("bootstrap")
            entry.external_attr = 0o100755 << 16
            with open(binary, "rb") as source:
                package.writestr(entry, source.read())


def main():
    cloud = Cloud(sys.argv[1])
    for line in sys.stdin:
        try:
            request = json.loads(line)
            answer = {"ok": getattr(cloud, request.pop("do"))(**request)}
        except Exception as error:  # noqa: BLE001 (whatever it is, the test is to see it)
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
