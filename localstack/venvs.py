"""Virtual environments under target/localstack, one for each requirements file. Standard library only."""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
STATE = HERE.parent / "target" / "localstack"
OLDEST_PYTHON = (3, 11)
MISSING = 3
"""Exit code when Python or a package cannot be had: callers skip, CI fails."""


class Missing(Exception):
    """What is missing and how to get it, in one line."""


def enter(which: str) -> None:
    """Makes this process run on the pinned packages of `which`: begins it again in their environment if need be.

    Packages of the same name elsewhere on the machine do not count: they have other versions. MILLRACE_PACKAGES=own
    takes them all the same: in a container, where nothing is installed.
    """
    if os.environ.get("MILLRACE_PACKAGES") == "own" or Path(sys.prefix).resolve().parent == STATE:
        return
    try:
        python = ensure(which)
    except Missing as missing:
        print(f"localstack/{Path(sys.argv[0]).name}: {missing}", file=sys.stderr)
        sys.exit(MISSING)
    os.execv(python, [str(python), *sys.argv])


def ensure(which: str) -> Path:
    """The interpreter of the environment `which`; installs it first if it is absent or older than its list.

    Two callers at once wait for each other: the lock is the kernel's, so a killed one leaves no stale lock behind.
    """
    if sys.version_info < OLDEST_PYTHON:
        found = ".".join(map(str, sys.version_info[:3]))
        raise Missing(f"Python {found} is too old; put Python 3.11 or newer first in PATH as python3")
    if not all(importlib.util.find_spec(module) for module in ("venv", "ensurepip")):
        raise Missing("Python's venv module is missing; on Debian: apt install python3-venv")
    requirements = HERE / f"requirements-{which}.txt"
    venv, wanted = STATE / f"venv-{which}", _fingerprint(requirements)
    STATE.mkdir(parents=True, exist_ok=True)
    with open(STATE / f"venv-{which}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        # Written last, so an installation that was cut off is begun again.
        done = venv / "installed"
        if not (done.is_file() and done.read_text() == wanted):
            _install(venv, requirements)
            done.write_text(wanted)
    return venv / "bin" / "python"


def _fingerprint(requirements: Path) -> str:
    # The interpreter belongs to it: an environment breaks when the Python under it is replaced.
    return hashlib.sha256(requirements.read_bytes() + sys.version.encode()).hexdigest()


def _install(venv: Path, requirements: Path) -> None:
    log = STATE / f"{venv.name}.log"
    shutil.rmtree(venv, ignore_errors=True)
    steps = [
        [sys.executable, "-m", "venv", str(venv)],
        [str(venv / "bin" / "python"), "-m", "pip", "install", "--disable-pip-version-check", "--no-input",
         "--requirement", str(requirements)],
    ]
    with open(log, "w") as out:
        for step in steps:
            result = subprocess.run(step, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, check=False)
            if result.returncode != 0:
                raise Missing(f"the packages of {requirements.name} cannot be installed (details: {log}); "
                              "check the network, or pip's settings for a package index that is reachable")
