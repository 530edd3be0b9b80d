#!/usr/bin/env bash
# Checks the templates and the scripts: cfn-lint, check_policies.py and its self-test, shellcheck. Needs Python 3.11.
set -euo pipefail
cd "$(dirname "$0")/.."

venv=target/infra/venv-check
wanted=$(cat infra/requirements.txt; python3 --version)
if [ "$(cat "$venv/installed" 2>/dev/null)" != "$wanted" ]; then
    rm -rf "$venv"
    mkdir -p target/infra
    if ! { python3 -m venv "$venv" &&
        "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement infra/requirements.txt; }; then
        echo "infra/check.sh: Python 3.11 with its venv module and the packages of infra/requirements.txt are needed" >&2
        exit 3
    fi
    echo "$wanted" >"$venv/installed"
fi

"$venv/bin/cfn-lint" --non-zero-exit-code warning -- infra/template.yaml infra/gpu-fleet.yaml
"$venv/bin/python" infra/check_policies.py
"$venv/bin/python" infra/check_policies.py --self-test
"$venv/bin/shellcheck" infra/*.sh localstack/*.sh
# The script that a machine of the fleet runs at its first start.
"$venv/bin/python" - <<'PYTHON' >target/infra/user-data.sh
import sys
sys.path.insert(0, "infra")
from pathlib import Path
import cloudformation
resource = cloudformation.load(Path("infra/gpu-fleet.yaml"))["Resources"]["LaunchTemplate"]["Properties"]
script = resource["LaunchTemplateData"]["UserData"]["Fn::Base64"]["Fn::Sub"][0]
# What CloudFormation puts in, so that no ${...} is left for the shell.
import re
print(re.sub(r"\$\{[^}]+\}", "value", script), end="")
PYTHON
"$venv/bin/shellcheck" target/infra/user-data.sh
echo "infra: checked"
