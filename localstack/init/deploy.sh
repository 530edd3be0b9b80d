#!/usr/bin/env bash
# Runs in LocalStack's container once it is ready: the same template, by the same script as without Docker.
set -eu
home=${MILLRACE_HOME:-/millrace}
# LocalStack's own Python has what deploy.py needs.
python=/opt/code/localstack/.venv/bin/python
[ -x "$python" ] || python=python3
options=(--without-functions)
if [ -f "$home/code/orchestrator.zip" ]; then options=(--code "$home/code"); fi
MILLRACE_PACKAGES=own exec "${MILLRACE_PYTHON:-$python}" "$home/localstack/deploy.py" \
    --endpoint "${MILLRACE_ENDPOINT:-http://127.0.0.1:4566}" --stack "${MILLRACE_STACK:-millrace}" "${options[@]}"
