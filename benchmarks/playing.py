"""Measure the page of `exposure play`: how soon a slider's move is answered, and many students at once.

python benchmarks/playing.py (three minutes; the browser's part needs Playwright and Chromium)
python benchmarks/playing.py --quick (half a minute: fewer moves, fewer students)

The students are scripts without a browser. Each plays game after game on one of the sample scenes, moves the slider
five times before each confirmation, asks for the oracle and for pictures at full size, and brings along a photo.
"""

import contextlib
import io
import json
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import numpy as np
import tyro
from PIL import Image

START = [sys.executable, "-m", "agents.cli", "play"]
MOVES = 5  # of the slider before a confirmation, in a script
MOVE = """async (ev) => {
  const slider = document.getElementById("ev"), image = document.getElementById("your-image");
  const start = performance.now();
  const changed = new Promise((resolve) => new MutationObserver((_, observer) => {
    observer.disconnect();
    resolve();
  }).observe(image, {attributes: true, attributeFilter: ["src"]}));
  slider.value = ev;
  slider.dispatchEvent(new Event("input", {bubbles: true}));
  await changed;
  await image.decode();
  return performance.now() - start;
}"""
READY = """() => document.getElementById("game").getAttribute("aria-busy") === "false"
  && document.getElementById("your-score").textContent !== \"\""""

SEARCHED = """() => !document.getElementById("total-oracle").textContent.includes("searching")"""


@dataclass(frozen=True)
class BenchmarkPlaying:
    """Measure the page of `exposure play`."""

    seconds: float = 120  # of the scripted students
    students: int = 20  # at once
    pause: float = 0.2  # between two requests of a student [s]
    moves: int = 20  # of the slider on each segment, in the browser
    quick: bool = False  # measure little


@contextlib.contextmanager
def served() -> Iterator[tuple[int, subprocess.Popen]]:
    """The port and the process of a server of its own, for as long as the block lasts."""
    with subprocess.Popen(START, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout:
                if found := re.search(r":(\d+)/ in a browser", line):
                    yield int(found[1]), process
                    return
            raise SystemExit(f"the server doesn't start: {process.stderr.read()}")
        finally:
            process.terminate()
            process.communicate()


def memory(process: subprocess.Popen) -> float:
    """Resident memory of a process [MB]; NaN where the system doesn't say."""
    status = Path(f"/proc/{process.pid}/status")
    found = re.search(r"VmRSS:\s+(\d+) kB", status.read_text()) if status.exists() else None
    return int(found[1]) / 1024 if found else float("nan")


class Student:
    """A script that plays.

    Args:
        port: The server's.
        number: Which of the students it is.
        pause: Between two requests [s].
    """

    def __init__(self, port: int, number: int, pause: float):
        self.connection = HTTPConnection("127.0.0.1", port, timeout=120)
        self.rng, self.pause = np.random.default_rng(number), pause
        self.taken: dict[str, list[float]] = {}  # seconds of each request, by address
        self.errors: list[str] = []
        self.games = 0

    def ask(self, address: str, body: bytes | None = None, session: str | None = None) -> bytes:
        """An answer; notes how long it took, and whether it was an error."""
        time.sleep(self.pause * self.rng.uniform(0.5, 1.5))
        name, start = address.split("?")[0], time.perf_counter()
        headers = {} if session is None else {"X-Session": session}
        self.connection.request("GET" if body is None else "POST", address, body, headers)
        reply = self.connection.getresponse()
        content = reply.read()
        self.taken.setdefault(name, []).append(time.perf_counter() - start)
        if reply.status != 200:
            self.errors.append(f"{name}: {reply.status} {content[:200]!r}")
        return content

    def told(self, address: str, **question: object) -> dict:
        """The same for JSON."""
        return json.loads(self.ask(f"/api/{address}", json.dumps(question).encode()))

    def play(self, until: float) -> None:
        """Plays until then, on the clock of `time.monotonic`."""
        try:
            photos = [each["id"] for each in json.loads(self.ask("/api/options"))["photos"]]
            while time.monotonic() < until:
                if self.games % 4 == 3:
                    self.game(self.brought(), 0, until)
                else:
                    self.game(str(self.rng.choice(photos)), int(self.rng.integers(8)), until)
        except (OSError, HTTPException, ValueError, KeyError) as error:
            self.errors.append(f"{type(error).__name__}: {error}")

    def game(self, photo: str, seed: int, until: float) -> None:
        """One game; left where it is when the time is over."""
        table = self.told("game", photo=photo, seed=seed)
        names = [reward["name"] for reward in table["rewards"]]
        question = {"photo": photo, "seed": seed, "reward": str(self.rng.choice(names)), "rival": "agent", "evs": []}
        while len(question["evs"]) < table["segments"]:
            for _ in range(MOVES):
                self.told("turn", **question, ev=round(float(self.rng.uniform(-3, 3)), 1))
                if time.monotonic() > until:
                    return
            question["evs"].append(round(float(self.rng.normal(0.8, 0.8)), 1))
            question["rival"] = str(self.rng.choice(["agent", "greedy"]))
            self.told("turn", **question, ev=0, whole=True)
        self.told("finish", **question | {"evs": question["evs"][:2]})
        self.ask(f"/api/picture?photo={photo}&seed={seed}&evs={','.join(map(str, question['evs']))}")
        if self.games % 3 == 0:
            self.told("oracle", **question | {"evs": []})
        self.games += 1

    def brought(self) -> str:
        """A photo of its own, uploaded."""
        small = self.rng.integers(0, 256, (9, 12, 3), np.uint8)
        file = io.BytesIO()
        Image.fromarray(small).resize((1800, 1350), Image.Resampling.BICUBIC).save(file, "JPEG")
        return json.loads(self.ask("/api/upload?name=mine.jpg", file.getvalue()))["photo"]


def slider(port: int, moves: int) -> None:
    """Print how long the page takes from a slider's move to the new picture and curve."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError:
        print("slider: not measured, as Playwright is missing: pip install playwright")
        return
    with sync_playwright() as playwright:
        path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        try:
            browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        except Error as error:
            print(f"slider: not measured, as Chromium can't be started: {error.message.splitlines()[0]}")
            return
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(120_000)
        for reward in ("psnr", "discriminator"):
            page.goto(f"http://127.0.0.1:{port}/#photo=coffee&seed=1&reward={reward}")
            page.reload()
            page.wait_for_function(READY)
            taken, rng = [], np.random.default_rng(0)
            while page.is_visible("#ev"):
                taken += [page.evaluate(MOVE, ev) for ev in rng.permutation(np.arange(-30, 30) / 10)[:moves].tolist()]
                page.click("#confirm")
                page.wait_for_function(READY)
            page.wait_for_function(SEARCHED)
            print(f"slider, {reward}: {len(taken)} moves answered, picture and curve, in {np.median(taken):.0f} ms in "
                  f"the median, 95 % in {np.percentile(taken, 95):.0f} ms")
        browser.close()


def students(port: int, process: subprocess.Popen, config: BenchmarkPlaying) -> None:
    """Print what many students at once meet with, and the server's memory meanwhile."""
    first = Student(port, 1000, 0)
    first.play(time.monotonic() + min(10, config.seconds))  # whatever is loaded once is loaded
    sizes, start = [memory(process)], time.monotonic()
    all_students = [Student(port, number, config.pause) for number in range(config.students)]
    threads = [threading.Thread(target=each.play, args=(start + config.seconds,)) for each in all_students]
    for thread in threads:
        thread.start()
    for part in range(1, 5):
        time.sleep(max(0, start + part * config.seconds / 4 - time.monotonic()))
        sizes.append(memory(process))
    for thread in threads:
        thread.join()
    turns = 1000 * np.array([each for student in all_students for each in student.taken.get("/api/turn", [0])])
    requests = sum(len(each) for student in all_students for each in student.taken.values())
    errors = [error for student in (first, *all_students) for error in student.errors]
    print(f"students: {config.students} at once for {config.seconds:.0f} s, {sum(each.games for each in all_students)} "
          f"games, {requests} requests, {len(errors)} errors")
    print(f"students: moves answered in {np.median(turns):.0f} ms in the median, 95 % in "
          f"{np.percentile(turns, 95):.0f} ms")
    print(f"memory: {sizes[0]:.0f} MB at the start, then at each quarter "
          f"{', '.join(f'{size:.0f}' for size in sizes[1:])} MB")
    for error in errors[:5]:
        print(f"error: {error}")
    if errors:
        raise SystemExit(1)


def main(config: BenchmarkPlaying) -> None:
    """Start a server, and measure both."""
    if config.quick:
        config = BenchmarkPlaying(seconds=3, students=3, pause=config.pause, moves=2)
    with served() as (port, process):
        slider(port, config.moves)
        students(port, process, config)


if __name__ == "__main__":
    main(tyro.cli(BenchmarkPlaying, description=__doc__))
