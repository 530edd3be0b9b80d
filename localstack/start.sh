#!/usr/bin/env bash
# Starts a local cloud without Docker: start.sh [ministack|localstack] [--port N] [--stay]. See README.md.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
if ! command -v python3 >/dev/null; then
    echo "localstack/start.sh: python3 is missing; install Python 3.11 or newer with its venv module" >&2
    exit 3
fi
exec python3 "$here/start.py" "$@"
