#!/usr/bin/env python3
"""Compares two builds of the benchmark, run in turns, so that what the machine does meanwhile meets both alike.

    cargo build --release -p millrace-bench && cp target/release/millrace-bench /tmp/before
    … change something, build again …
    tests/benchmarks/compare.py /tmp/before target/release/millrace-bench --rounds 7 parallel_runs chain

Prints the medians of each figure and their ratio. It judges nothing: a machine is not a test.
"""

import argparse
import json
import shutil
import statistics
import subprocess
import sys

WORKLOADS = ["chain", "parallel_runs", "fan_out", "long_run", "signals"]
FIGURES = ["steps_per_s", "per_s", "step_ms_p50", "step_ms_p99", "wall_s", "tail_ratio", "cpu_s_per_1000_steps"]


def measure(build, workload, priority):
    command = [build, "--only", workload, "--json"]
    if priority:
        command = ["chrt", "--fifo", "50", *command]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr}")
    return json.loads(done.stdout)[workload]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("before", help="the binary to compare with")
    arguments.add_argument("after", help="the binary that is asked about")
    arguments.add_argument("workloads", nargs="*", default=WORKLOADS, help="all that both builds know, if none is named")
    arguments.add_argument("--rounds", type=int, default=5, help="how often each is run")
    arguments.add_argument("--priority", action="store_true", help="at real-time priority (needs root and chrt)")
    options = arguments.parse_intermixed_args()
    if options.priority and shutil.which("chrt") is None:
        sys.exit("--priority: chrt is not installed")
    print("| workload | figure | before | after | after / before |\n|---|---|---|---|---|")
    for workload in options.workloads:
        builds = {"before": options.before, "after": options.after}
        runs = {name: [] for name in builds}
        for n in range(options.rounds):
            print(f"{workload}: round {n + 1} of {options.rounds}", end="\r", file=sys.stderr)
            for name, build in builds.items():
                runs[name].append(measure(build, workload, options.priority))
        for figure in (figure for figure in FIGURES if figure in runs["before"][0] and figure in runs["after"][0]):
            before, after = (statistics.median(run[figure] for run in runs[name]) for name in builds)
            ratio = after / before if before else float("nan")
            print(f"| {workload} | {figure} | {before:.4g} | {after:.4g} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
