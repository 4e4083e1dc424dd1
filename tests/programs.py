"""Programs in processes of their own."""

import atexit
import json
import os
import select
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from tests.repository import ROOT

TIMEOUT = 240  # [s]


def run(program, **environment):
    """A program given as its source, in a new interpreter."""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200,
                          env=os.environ | environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done


def start(program, *arguments, cwd, **environment):
    """`python program ...` in another folder and without a screen, as a user who has installed the package starts it.

    To load Torch and to take it down would be most of the time of many a program. So where processes can fork, it is
    run in a fork of one that has loaded what others have written, see `launcher.py`; what is ours it loads itself.

    Args:
        program: Its file.
        arguments: Those of its command line.
        cwd: The folder.
        environment: Further variables.

    Returns:
        A `subprocess.CompletedProcess` with status, output and errors as text.
    """
    inherited = {name: value for name, value in os.environ.items() if name != "DISPLAY"}
    environment = inherited | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "MPLBACKEND": "agg", "COLUMNS": "120"
                               } | environment  # fmt: skip
    command = [str(program), *map(str, arguments)]
    if not hasattr(os, "fork"):
        return subprocess.run([sys.executable, *command], cwd=cwd, env=environment, capture_output=True, text=True,
                              timeout=TIMEOUT)  # fmt: skip
    launcher, said = _launcher(), {name: Path(f"{cwd}.{name}") for name in ("output", "errors")}
    order = {"command": command, "cwd": str(cwd), "environment": environment} | {n: str(p) for n, p in said.items()}
    launcher.stdin.write(json.dumps(order).encode() + b"\n")
    process = int(launcher.stdout.readline())
    if not select.select([launcher.stdout], [], [], TIMEOUT)[0]:
        os.kill(process, signal.SIGKILL)
        launcher.stdout.readline()
        raise subprocess.TimeoutExpired(command, TIMEOUT, *(path.read_bytes() for path in said.values()))
    status = int(launcher.stdout.readline())
    return subprocess.CompletedProcess(command, status, *(path.read_text("utf-8") for path in said.values()))


@cache
def _launcher():
    """The process that others are forked from; it ends with this one, whose end closes its standard input."""
    process = subprocess.Popen([sys.executable, Path(__file__).with_name("launcher.py")], cwd=os.sep, bufsize=0,
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
    atexit.register(process.communicate)
    return process
