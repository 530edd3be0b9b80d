#!/usr/bin/env python3
"""Prices the calls that were counted: the cost table of the README.

    cargo test -p millrace-cloud-tests --test calls -- --nocapture | infra/cost.py

The counts are the lines that begin with FIGURE. Prices are list prices in US dollars of us-east-1, per million, read in
November 2026: https://aws.amazon.com/s3/pricing/ https://aws.amazon.com/sqs/pricing/ https://aws.amazon.com/lambda/pricing/
https://aws.amazon.com/blogs/aws/up-to-85-price-reductions-for-amazon-s3-express-one-zone/
What an activity itself computes is not in it: that is the user's.
"""

import json
import sys

S3 = {"put": 5.00, "get": 0.40}
EXPRESS = {"put": 1.13, "get": 0.03}
SQS = 0.40
LAMBDA_REQUEST = 0.20
LAMBDA_GB_S = 13.3334
"""arm64, per million GB-seconds."""
TURN_GB_S = 0.25 * 0.080
"""256 MB for 80 ms: an assumption, from S3's published latencies. Not measured on AWS."""


def main() -> int:
    figures = {}
    for line in sys.stdin:
        if line.startswith("FIGURE "):
            figure = json.loads(line.removeprefix("FIGURE "))
            figures[figure["workload"]] = figure["figures"]
    chain = figures.get("chain of 30, warm, per step")
    fan_in = figures.get("fan-in of 1,000, 1 orchestrators, per completion")
    if chain is None or fan_in is None:
        print("cost.py: no FIGURE lines of the chain and the fan-in on standard input; see --help in the file", file=sys.stderr)
        return 2
    # A chain runs alone: each message is a batch of its own, and each step is one turn and one call of a worker.
    calls = chain["send"] + chain["receive"] + chain["delete"]
    print("| per million | S3 | SQS | Lambda | total |")
    print("|---|---|---|---|---|")
    row("activity steps of a chain, warm", priced(chain, S3), calls * SQS, 2, 1)
    row("the same, every turn cold (1 GET)", priced({**chain, "get": 1}, S3), calls * SQS, 2, 1)
    row("the same on S3 Express, warm", priced(chain, EXPRESS), calls * SQS, 2, 1)
    # Side by side: tasks are sent by tens and outcomes received by tens; a worker is called, and reports, one by one.
    tenth = 0.1
    calls = tenth + 1 + 1 + 1 + tenth + tenth
    row("activities of a fan-out of 1,000", priced(fan_in, S3), calls * SQS, 1 + tenth, fan_in["put"])
    # A run beside its steps: the start's turn, the index of open and of closed runs, the start's message.
    row("runs, beside their steps", priced({"put": 3, "get": 1}, S3), 3 * SQS, 1, 1)
    # A timer over 15 minutes: its key is written, read by the tick, and sent as an event; its turn.
    row("timers over 15 minutes", priced({"put": 2, "get": 1}, S3), 3 * SQS, 1, 1)
    return 0


def priced(calls: dict, prices: dict) -> float:
    return sum(calls[name] * price for name, price in prices.items())


def row(what: str, s3: float, sqs: float, requests: float, turns: float) -> None:
    compute = requests * LAMBDA_REQUEST + turns * TURN_GB_S * LAMBDA_GB_S
    print(f"| {what} | {s3:.2f} | {sqs:.2f} | {compute:.2f} | **{s3 + sqs + compute:.2f}** |")


if __name__ == "__main__":
    sys.exit(main())
