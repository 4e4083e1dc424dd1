"""Programs in an interpreter of their own."""

import os
import subprocess
import sys

from tests.repository import ROOT


def run(program, **environment):
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=200,
                          env=os.environ | environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done
