"""Runs programs, one after the other, each in a fork of this process, which has loaded what others have written.

Each line of the standard input is an order as JSON: the command, the folder, the environment, and where its output and
its errors go. Two lines are the answer: the number of the process, and its status when it is over.
"""

import gc
import importlib
import json
import os
import runpy
import sys

LOADED = ("cv2", "matplotlib.pyplot", "numba", "scipy.stats", "skimage.color", "stable_baselines3", "torch._dynamo",
          "torch.utils.tensorboard", "tyro")  # fmt: skip


def become(order):
    """Makes this process one that `python program ...` begins."""
    os.chdir(order["cwd"])
    for descriptor, place in enumerate((os.devnull, order["output"], order["errors"])):
        opened = os.open(place, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        os.dup2(opened, descriptor)
        os.close(opened)
    os.environ.clear()
    os.environ |= order["environment"]
    sys.argv[:] = order["command"]
    sys.path[:1] = [os.path.dirname(sys.argv[0]), *os.environ["PYTHONPATH"].split(os.pathsep)]
    sys.modules["numpy"].random.seed()  # what was seeded by loading must not be the same in all


os.environ["MPLBACKEND"] = "agg"
for name in LOADED:
    importlib.import_module(name)
gc.freeze()  # for forks to share, and to leave alone at the end
for line in sys.stdin.buffer:
    if not (process := os.fork()):
        become(json.loads(line))
        runpy.run_path(sys.argv[0], run_name="__main__")
        break
    print(process, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), flush=True)
