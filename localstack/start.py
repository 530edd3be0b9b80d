"""Starts an emulator of S3, SQS, Lambda and CloudFormation without Docker, and ends it again.

On standard output: one line, `ready http://127.0.0.1:PORT`. It ends on SIGTERM or SIGINT, and when standard input, if it
is a pipe, is closed: a test that dies takes its emulator with it. Standard library only.
"""

import argparse
import ctypes
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path

import venvs

START_LIMIT_S = 90
"""A first start compiles the emulator's modules, perhaps on a busy machine."""
STOP_LIMIT_S = 10
KEEP_S = 24 * 3600


def main() -> int:
    parser = argparse.ArgumentParser(prog="start.sh", description="Starts a local cloud on the loopback address.")
    parser.add_argument("which", nargs="?", choices=["ministack", "localstack"], default="ministack")
    parser.add_argument("--port", type=int, default=0, help="default: a free one")
    parser.add_argument("--stay", action="store_true", help="do not end when standard input is closed")
    args = parser.parse_args()
    try:
        python = venvs.ensure(args.which)
    except venvs.Missing as missing:
        print(f"localstack/start.sh: {missing}", file=sys.stderr)
        return venvs.MISSING

    _forget_old_runs()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: stop.set())
    if not args.stay and _is_held_pipe(sys.stdin.fileno()):
        threading.Thread(target=_wait_for_eof, args=(stop,), daemon=True).start()
    return Emulator(args.which, python, args.port).run(stop)


def _is_held_pipe(fd: int) -> bool:
    # A terminal, /dev/null or a file says nothing about who waits for us; only a pipe or a socket does.
    try:
        mode = os.fstat(fd).st_mode
    except OSError:
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def _wait_for_eof(stop: threading.Event) -> None:
    while os.read(sys.stdin.fileno(), 4096):
        pass
    stop.set()


class Emulator:
    """One emulator process and its folder, which holds its log and goes when it does, but for the log."""

    def __init__(self, which: str, python: Path, port: int) -> None:
        self.which, self.python, self.fixed_port = which, python, port
        self.folder = Path(tempfile.mkdtemp(prefix=f"{which}-", dir=venvs.STATE))
        self.log = self.folder.with_suffix(".log")

    def run(self, stop: threading.Event) -> int:
        """Until `stop`, or until the emulator ends by itself, which is a failure."""
        print(f"log: {self.log}", file=sys.stderr, flush=True)
        try:
            # A free port may be taken between our look and the emulator's start.
            for _ in range(1 if self.fixed_port else 3):
                port = _free_port(self.fixed_port)
                if port is None:
                    print(f"localstack/start.sh: port {self.fixed_port} is in use", file=sys.stderr)
                    return 1
                process = self._spawn(port)
                try:
                    if self._becomes_ready(process, port, stop):
                        print(f"ready http://127.0.0.1:{port}", flush=True)
                        return self._serve(process, stop)
                    if stop.is_set():
                        return 0
                finally:
                    _end(process)
            print(f"localstack/start.sh: {self.which} did not become ready; see {self.log}", file=sys.stderr)
            return 1
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)

    def _spawn(self, port: int) -> subprocess.Popen:
        env = os.environ | _environment(self.which, port) | {"TMPDIR": str(self.folder)}
        with open(self.log, "ab") as log:
            # A session of its own: its functions are its children and end with it. Ctrl-C reaches us alone.
            return subprocess.Popen(_command(self.which, self.python), env=env, cwd=self.folder, stdin=subprocess.DEVNULL,
                                    stdout=log, stderr=log, start_new_session=True, preexec_fn=_die_with_parent)

    def _becomes_ready(self, process: subprocess.Popen, port: int, stop: threading.Event) -> bool:
        url = f"http://127.0.0.1:{port}/_{self.which}/health"
        # Not through a proxy that the environment may name.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline and process.poll() is None and not stop.is_set():
            try:
                with opener.open(url, timeout=2):
                    # Asked only after the answer: another process may hold the port and give it.
                    return process.poll() is None
            except (urllib.error.URLError, OSError):
                stop.wait(0.05)
        return False

    def _serve(self, process: subprocess.Popen, stop: threading.Event) -> int:
        while not stop.wait(0.2):
            if process.poll() is not None:
                print(f"localstack/start.sh: {self.which} ended by itself ({process.returncode}); see {self.log}",
                      file=sys.stderr)
                return 1
        return 0


def _command(which: str, python: Path) -> list[str]:
    module = {"ministack": "ministack", "localstack": "localstack.runtime.main"}[which]
    return [str(python), "-m", module]


def _environment(which: str, port: int) -> dict[str, str]:
    common = {
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
    }
    if which == "ministack":
        return common | {
            "BIND_HOST": "127.0.0.1",
            "MINISTACK_HOST": "127.0.0.1",
            "GATEWAY_PORT": str(port),
            # Functions are processes of this machine.
            "LAMBDA_EXECUTOR": "local",
            # What it hands to its functions as their endpoint.
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
        }
    return common | {
        # The IPv4-mapped form keeps it on loopback: it listens on all addresses when given 127.0.0.1.
        "GATEWAY_LISTEN": f"[::ffff:127.0.0.1]:{port}",
        "LOCALSTACK_HOST": f"127.0.0.1:{port}",
        # Else queue URLs name hosts that nobody resolves.
        "SQS_ENDPOINT_STRATEGY": "path",
        "DNS_ADDRESS": "0",
        "DISABLE_EVENTS": "1",
        "SKIP_SSL_CERT_DOWNLOAD": "1",
    }


def _free_port(wanted: int) -> int | None:
    """The port that is wanted, or any if that is 0; `None` if it is in use."""
    with socket.socket() as probe:
        # A port whose last connections have only just ended is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", wanted))
        except OSError:
            return None
        return probe.getsockname()[1]


def _forget_old_runs() -> None:
    """Logs and folders of earlier days; a killed run leaves its folder."""
    for path in venvs.STATE.glob("*stack-*"):
        if not path.name.startswith("venv-") and path.stat().st_mtime < time.time() - KEEP_S:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)


def _die_with_parent() -> None:
    # Linux only: SIGTERM to the emulator when this process is killed and cannot end it (PR_SET_PDEATHSIG = 1).
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def _end(process: subprocess.Popen) -> None:
    """The emulator first, then what is left of its session."""
    for number, patience_s in ((signal.SIGTERM, STOP_LIMIT_S), (signal.SIGKILL, STOP_LIMIT_S)):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(patience_s)
        except subprocess.TimeoutExpired:
            continue
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


if __name__ == "__main__":
    sys.exit(main())
