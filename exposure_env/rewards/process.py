"""A reward model that runs in another interpreter, so that its dependencies never enter this one's."""

import os
import shutil
import subprocess
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
from array_api_compat import is_torch_array

from exposure_env.image import Array
from exposure_env.rewards import scorer

PREFIX = "process:"


class ProcessReward:
    """A function or object `module:attribute` in another Python, whose scores come over a pipe.

    It gets float32 NumPy arrays, (N, H, W, 3) in [0, 1], and returns (N,) scores. Its process starts at the first
    call, in the current folder, from which `module` can be imported; it ends with this one. Only values come back, so
    it can't be DeepExposure's value function, unless by `value="q"`.

    Args:
        python: Path of the other interpreter, which needs NumPy and what the scorer imports.
        spec: "module:attribute".
        timeout: Longest wait for an answer [s]; the first one includes the imports.

    Raises:
        ValueError: If there is no such interpreter, the spec names nothing, or the timeout isn't above 0.
    """

    differentiable, keeps_images = False, True
    _process: subprocess.Popen | None = None

    def __init__(self, python: str | os.PathLike, spec: str, timeout: float = 120.0):
        if shutil.which(os.fspath(python)) is None:
            raise ValueError(f"the interpreter {os.fspath(python)!r} doesn't exist or can't be run: give its path")
        if not all(spec.partition(":")):
            raise ValueError(f'a scorer is named by "module:attribute", not {spec!r}')
        if not timeout > 0:
            raise ValueError(f"timeout must be above 0 seconds, not {timeout}")
        self.python, self.spec, self.timeout = os.fspath(python), spec, timeout
        self.version: str | None = None  # the scorer's, as its last answer had it
        self.lower_better = False
        self._lock = threading.Lock()  # one question at a time
        self._owner = os.getpid()

    @classmethod
    def named(cls, text: str) -> "ProcessReward":
        """The one that "process:/path/to/python module:attribute" stands for.

        Raises:
            ValueError: If the text has another form, or see above.
        """
        parts = text.removeprefix(PREFIX).rsplit(maxsplit=1)
        if len(parts) != 2:
            raise ValueError(f'want "process:/path/to/python module:attribute", not {text!r}')
        return cls(*parts)

    def __repr__(self) -> str:
        return f"{PREFIX}{self.python} {self.spec}"

    def __getstate__(self) -> dict[str, Any]:
        return {"python": self.python, "spec": self.spec, "timeout": self.timeout}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)

    def __call__(self, images: Array, *, inputs: Array, targets: Array | None) -> Array:
        """(N,) float32 scores, the same kind of array as the images.

        Raises:
            ValueError: If the scorer raised an error, can't be imported, or its process ended.
            TimeoutError: If no answer came in time; the process is stopped.
        """
        given = {"images": images, "inputs": inputs, "targets": targets}
        with self._lock:
            context = self._start()
            arrays = {name: _on_host(array) for name, array in given.items()
                      if array is not None and (name == "images" or name in context)}
            header, result = self._ask(arrays)
        self.version = header["version"] or None
        scores = result["scores"]
        if is_torch_array(images):
            return images.new_tensor(scores)
        return scores

    def close(self) -> None:
        """Ends the process; the next call starts another."""
        process, self._process = self._process, None
        if process is not None and self._owner == os.getpid():
            process.kill()
            process.wait()
            for stream in (process.stdin, process.stdout):
                stream.close()

    __del__ = close

    def _start(self) -> list[str]:
        """Starts the process, unless it runs; returns the context that the scorer asks for."""
        if self._process is None or self._owner != os.getpid():  # a fork has its parent's pipes: not to be used
            self._owner = os.getpid()
            self._process = subprocess.Popen([self.python, str(Path(scorer.__file__)), self.spec],
                                             stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            header, _ = self._ask(None)
            self.lower_better, self._context = header["lower_better"], header["context"]
        return self._context

    def _ask(self, arrays: dict[str, np.ndarray] | None) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The answer to a request, or without one the scorer's first message."""
        process, late = self._process, threading.Event()

        def stop() -> None:
            late.set()
            process.kill()

        watch = threading.Timer(self.timeout, stop)
        watch.start()
        try:
            answer = _exchange(process.stdin, process.stdout, arrays)
        finally:
            watch.cancel()
        if late.is_set():
            self.close()
            raise TimeoutError(f"the scorer {self!r} gave no answer within {self.timeout:g} s, and was stopped")
        if answer is None:
            with suppress(subprocess.TimeoutExpired):
                process.wait(5)
            self.close()
            raise ValueError(f"the process of the scorer {self!r} ended with code {process.returncode}; see what it "
                             "printed")
        if "error" in answer[0]:
            if arrays is None:
                self.close()
            raise ValueError(f"the scorer {self!r} failed: {answer[0]['error']}")
        return answer


def _exchange(requests: IO[bytes], answers: IO[bytes], arrays: dict[str, np.ndarray] | None) -> Any:
    """The next message, after a request if there is one; None if the other end is gone."""
    try:
        if arrays is not None:
            scorer.write(requests, {}, arrays)
        return scorer.read(answers)
    except (OSError, ValueError):  # a broken pipe, or half a message from a process that was stopped
        return None


def _on_host(array: Array) -> np.ndarray:
    return array.detach().cpu().numpy() if is_torch_array(array) else np.asarray(array)
