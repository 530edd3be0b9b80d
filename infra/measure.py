#!/usr/bin/env python3
"""Measures the orchestrator function on this machine: package, cold start, turns, memory.

    infra/build.sh --host orchestrator
    infra/measure.py target/lambda/host/orchestrator.zip

Plays Lambda's runtime API for the bootstrap of the zip, over S3 and SQS of the emulator (localstack/start.sh). The cold start
is from the start of the process to its first request for work, the start-up checks of bucket and queues included. Each
invocation carries one start message, so it is one turn: one GET that finds nothing, one PUT, one task, one index entry.
Standard library only; the queues and the bucket are made by the emulator's own Python.
"""

import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
COLD_STARTS, TURNS = 15, 200
MAKE = """
import boto3, sys
sqs, s3 = boto3.client("sqs"), boto3.client("s3")
s3.create_bucket(Bucket="measure")
for name in ("inbox", "inbox-dead", "events", "events-dead", "task-cpu", "task-gpu"):
    sqs.create_queue(QueueName="measure-" + name)
"""


class Lambda(http.server.ThreadingHTTPServer):
    """The runtime API for one process."""

    def __init__(self, invocations: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.left, self.sent_at, self.times_ms = invocations, 0.0, []
        self.ready_at, self.done = None, threading.Event()


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else a delayed acknowledgement of 40 ms is measured, and not the function

    def do_GET(self) -> None:
        server = self.server
        server.ready_at = server.ready_at or time.perf_counter()
        if server.left == 0:
            server.done.set()
            time.sleep(3600)  # Lambda would freeze it now; the process is ended.
        server.left -= 1
        n = server.left
        body = json.dumps({"Records": [{
            "messageId": f"m{n}", "receiptHandle": f"r{n}",
            "body": json.dumps({"type": "start", "workflow": "TrainTestDeploy", "id": f"{os.getpid()}-{time.time_ns()}",
                                "input": {"threshold": 0.9}}),
            "attributes": {"ApproximateReceiveCount": "1", "SentTimestamp": str(int(time.time() * 1000))},
            "messageAttributes": {}, "eventSourceARN": "arn:aws:sqs:us-east-1:000000000000:measure-inbox"}]}).encode()
        self.send_response(200)
        self.send_header("lambda-runtime-aws-request-id", f"q{n}")
        self.send_header("lambda-runtime-deadline-ms", str(int(time.time() * 1000) + 30_000))
        self.send_header("lambda-runtime-invoked-function-arn", "arn:aws:lambda:us-east-1:000000000000:function:measure")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        server.sent_at = time.perf_counter()
        self.wfile.write(body)

    def do_POST(self) -> None:
        answer = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.times_ms.append((time.perf_counter() - self.server.sent_at) * 1000)
        if json.loads(answer).get("batchItemFailures") != []:
            print(f"an invocation did not do its work: {answer[:300]!r}", file=sys.stderr)
            os._exit(1)
        self.send_response(202)
        self.send_header("content-length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def run(bootstrap: Path, environment: dict, invocations: int) -> tuple[float, list[float], float]:
    """Cold start in ms, each invocation in ms, peak memory in MiB."""
    server = Lambda(invocations)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    began = time.perf_counter()
    process = subprocess.Popen([bootstrap], stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL, env=environment | {
        "AWS_LAMBDA_RUNTIME_API": f"127.0.0.1:{server.server_port}", "AWS_LAMBDA_FUNCTION_NAME": "measure",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "256", "AWS_LAMBDA_FUNCTION_VERSION": "1"})
    try:
        while not server.done.wait(0.05):
            if process.poll() is not None:
                sys.exit(f"the function ended by itself ({process.returncode})")
        status = Path(f"/proc/{process.pid}/status").read_text()
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
        return (server.ready_at - began) * 1000, server.times_ms, peak / 1024
    finally:
        process.kill()
        process.wait()
        server.shutdown()


def main() -> int:
    package = Path(sys.argv[1]).resolve()
    emulator = subprocess.Popen([ROOT / "localstack/start.sh", "ministack"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                stderr=subprocess.DEVNULL, text=True)
    try:
        endpoint = emulator.stdout.readline().removeprefix("ready ").strip()
        environment = {"PATH": os.environ["PATH"], "AWS_ENDPOINT_URL": endpoint, "AWS_REGION": "us-east-1",
                       "AWS_DEFAULT_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test",
                       "MILLRACE_BUCKET": "measure", "MILLRACE_QUEUE_PREFIX": "measure"}
        subprocess.run([ROOT / "target/localstack/venv-ministack/bin/python", "-c", MAKE], env=environment, check=True)
        with tempfile.TemporaryDirectory() as folder:
            zipfile.ZipFile(package).extract("bootstrap", folder)
            bootstrap = Path(folder) / "bootstrap"
            bootstrap.chmod(0o755)
            cold = sorted(run(bootstrap, environment, 1)[0] for _ in range(COLD_STARTS))
            _, turns, peak = run(bootstrap, environment, TURNS)
            first, warm = turns[0], sorted(turns[1:])
            print(f"package            {package.stat().st_size / 1e6:.1f} MB zipped, {bootstrap.stat().st_size / 1e6:.1f} MB unpacked")
            print(f"cold start         {statistics.median(cold):.1f} ms p50 ({cold[0]:.1f}-{cold[-1]:.1f}, {COLD_STARTS} starts)")
            print(f"first invocation   {first:.1f} ms")
            print(f"warm invocation    {statistics.median(warm):.1f} ms p50, {warm[int(len(warm) * .99) - 1]:.1f} ms p99 ({len(warm)} turns)")
            print(f"peak memory        {peak:.1f} MiB")
    finally:
        emulator.stdin.close()
        emulator.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
