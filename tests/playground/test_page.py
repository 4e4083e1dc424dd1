"""The server behind the page: right answers, clear refusals, and no student in another's way."""

import importlib
import io
import json
import re
import signal
import socket
import struct
import subprocess
import sys
import zlib
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from tests.asking import asked
from tests.memory import at_most
from tests.repository import ROOT

for package in ("starlette", "uvicorn"):
    pytest.importorskip(package, reason='the page needs Starlette and Uvicorn: pip install -e ".[play]"')

from agents.commands.play import Play  # noqa: E402
from agents.playground import Uploads, decoded  # noqa: E402
from agents.playground.uploads import MOST_BYTES, MOST_EACH, MOST_SESSIONS, clean  # noqa: E402
from exposure_env.files import ImageFile, save_image  # noqa: E402
from tests.playground import Tiles, serving  # noqa: E402

COMMAND = "import sys; from agents.cli import main; sys.exit(main(sys.argv[1:]))"
GAME = {"photo": "dark", "seed": 1, "reward": "psnr", "rival": "agent", "evs": []}


@pytest.fixture(scope="module")
def served():
    with serving(Tiles(broken=True)) as served:
        yield served


def told(served, path, **question):
    status, _, content = asked(served.port, f"/api/{path}", json.dumps(question))
    return status, content


def photo_file(height=300, width=400, kind="JPEG", **options):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).resize((width, height)).save(file, kind, **options)
    return file.getvalue()


def empty_png(width, height):
    """A PNG file that says how large it is, and has nothing in it."""
    chunks = [b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0), b"IDAT" + zlib.compress(b""), b"IEND"]
    parts = [struct.pack(">I", len(each) - 4) + each + struct.pack(">I", zlib.crc32(each)) for each in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def uploaded(served, body, name="mine.jpg", session=None):
    headers = {} if session is None else {"X-Session": session}
    status, _, content = asked(served.port, f"/api/upload?name={name}", body, **headers)
    return status, content


def test_the_page_loads_nothing_from_elsewhere(served):
    status, headers, content = asked(served.port, "/")
    parts = re.findall(r'(?:src|href)="(/static/[\w.]+)"', content.decode())
    assert status == 200 and len(parts) == 2 and "'unsafe-inline'" not in headers["Content-Security-Policy"]
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    modules = re.findall(r'from "\./([\w.]+)"', asked(served.port, "/static/play.js")[2].decode())
    texts = [content, *(asked(served.port, part)[2] for part in parts),
             *(asked(served.port, f"/static/{name}")[2] for name in modules)]
    assert len(modules) >= 4 and all(isinstance(text, bytes) for text in texts)
    for text in (text.decode() for text in texts):
        assert set(re.findall(r"https?://[^'\"\s]*", text)) <= {"http://www.w3.org/2000/svg"}  # the name of a format
        assert not re.search(r"@import|innerHTML|\sstyle=|\son\w+=\"", text)


def test_a_game_is_described_and_played_to_its_end(served):
    options = asked(served.port, "/api/options")[2]
    assert [each["id"] for each in options["photos"]] == ["dark", "plain", "broken"] and len(options["sheet"]) == 10
    status, table = told(served, "game", photo="dark", seed=1)
    assert status == 200 and table["segments"] == len(table["outlines"]) == 3 and table["target"]
    assert {"psnr", "entropy", "discriminator"} <= {reward["name"] for reward in table["rewards"]}
    game = dict(GAME)
    for step in range(3):
        status, turn = told(served, "turn", **game, ev=1.0, whole=True)
        assert status == 200 and len(turn["curve"]["evs"]) == len(turn["curve"]["yours"]) == 31
        assert len(turn["yours"]["scores"]) == len(turn["rival"]["scores"]) == step + 1 == len(turn["rival"]["evs"])
        at = turn["curve"]["evs"].index(pytest.approx(1.0))
        assert turn["now"] == pytest.approx(turn["curve"]["yours"][at], abs=1e-3)
        assert turn["image"].startswith("data:image/jpeg;base64,") and turn["rival"]["image"] != turn["image"]
        game["evs"] = [*game["evs"], turn["curve"]["best"]]
    status, turn = told(served, "turn", **game, ev=1.0, whole=True)
    assert status == 200 and turn["curve"] is None and len(turn["yours"]["scores"]) == 4
    course = turn["yours"]["scores"]
    assert turn["now"] == pytest.approx(course[-1], abs=1e-4) and course[-1] > course[0]
    greedy = told(served, "finish", **GAME | {"rival": "greedy"})[1]["evs"]
    assert greedy == pytest.approx(game["evs"])
    assert told(served, "oracle", **GAME)[1]["score"] >= turn["now"] - 1e-3


def test_another_reward_changes_the_curve_and_the_greedy_rival_and_not_the_agent(served):
    turns = {(reward, rival): told(served, "turn", **GAME | {"reward": reward, "rival": rival}, ev=0, whole=True)[1]
             for reward in ("psnr", "mean_luminance") for rival in ("agent", "greedy")}
    evs = {key: turn["rival"]["evs"] for key, turn in turns.items()}
    assert evs["psnr", "agent"] == evs["mean_luminance", "agent"]
    assert evs["psnr", "greedy"] != evs["mean_luminance", "greedy"]
    assert turns["psnr", "agent"]["curve"]["yours"] != turns["mean_luminance", "agent"]["curve"]["yours"]


def test_pictures_at_full_size(served):
    images = [asked(served.port, f"/api/picture?photo=dark&seed=1&{which}")
              for which in ("evs=", "evs=1,1,1", "which=target")]
    assert all(status == 200 and headers["Content-Type"] == "image/jpeg" for status, headers, _ in images)
    before, after, target = (np.asarray(Image.open(io.BytesIO(content))).astype(int) for *_, content in images)
    assert before.shape == after.shape == target.shape == (90, 120, 3)
    assert before.mean() < after.mean() < 255 and target.mean() > before.mean()
    assert asked(served.port, "/api/picture?photo=plain&which=target")[0] == 404


@pytest.mark.parametrize(("path", "wrong", "status", "message"), [
    ("game", {"photo": "nowhere"}, 404, "there is no photo 'nowhere' here"),
    ("game", {"photo": "own-x"}, 404, "forgotten: upload it again"),
    ("game", {"photo": None}, 400, "photo must be a name"),
    ("game", {"photo": "x" * 400}, 400, "photo must be a name"),
    ("game", {"photo": "../../etc/passwd"}, 404, "there is no photo"),
    ("game", {"photo": "broken"}, 500, "broken: it can't be read"),
    ("game", {"seed": -1}, 400, "seed must be an integer from 0"),
    ("game", {"seed": True}, 400, "seed must be"), ("game", {"seed": 1e3}, 400, "seed must be"),
    ("game", {"seed": 10**30}, 400, "seed must be"), ("game", {"seed": "1"}, 400, "seed must be"),
    ("turn", {"reward": "nonsense"}, 400, "the reward must be one of psnr"),
    ("turn", {"reward": ["psnr"]}, 400, "the reward must be one of"),
    ("turn", {"photo": "plain"}, 400, "the reward must be one of well_exposedness"),
    ("turn", {"rival": "me"}, 400, "the rival must be one of agent, greedy"),
    ("turn", {"rival": {}}, 400, "the rival must be one of"),
    ("turn", {"evs": [1, 2, 3, 1]}, 400, "evs must be a list of at most 3 numbers"),
    ("turn", {"evs": "1,2"}, 400, "evs must be a list"),
    ("turn", {"evs": [9]}, 400, "an EV must be a number from -3 to 3"),
    ("turn", {"evs": [None]}, 400, "an EV must be"), ("turn", {"evs": [True]}, 400, "an EV must be"),
    ("turn", {"ev": "x"}, 400, "an EV must be"), ("turn", {"ev": float("nan")}, 400, "an EV must be"),
    ("finish", {"evs": [float("inf")]}, 400, "an EV must be"), ("oracle", {"reward": None}, 400, "the reward must be"),
])  # fmt: skip
def test_nonsense_is_refused_with_a_reason(served, path, wrong, status, message):
    found, content = told(served, path, **GAME | wrong)
    assert found == status and message in content["error"] and "Traceback" not in content["error"]


@pytest.mark.parametrize("body", ["", "{", b"\xff{", "[" * 4000])
def test_what_is_no_json_is_refused(served, body):
    status, _, content = asked(served.port, "/api/turn", body)
    assert status == 400 and "this is no question" in content["error"]


def test_other_json_and_long_bodies_and_other_addresses_are_refused(served):
    assert asked(served.port, "/api/turn", "[]")[0] == 400
    assert asked(served.port, "/api/turn", json.dumps(GAME).ljust(5000))[0] == 413
    assert asked(served.port, "/api/turn")[0] == 405
    for path in ("/static/../app.py", "/static/..%2fapp.py", "/static/x", "/favicon.ico", "/api/nothing"):
        assert asked(served.port, path)[0] == 404
    for query in ("photo=dark&seed=x", "photo=dark&seed=1&evs=a,b", "seed=1", "photo=dark&evs=1,1,1,1", "evs=nan"):
        status, _, content = asked(served.port, f"/api/picture?{query}")
        assert status == 400 and content["error"]
    assert asked(served.port, "/api/options?seed=-1")[0] == 400


def test_pages_of_others_are_refused(served):
    assert asked(served.port, "/api/options", Host="evil.example")[0] == 403
    assert asked(served.port, "/api/turn", json.dumps(GAME), Origin="http://evil.example")[0] == 403


def test_a_photo_of_ones_own_is_played_and_has_no_target(served):
    status, kept = uploaded(served, photo_file(), "..%2F..%2Fmy%20%3Cphoto%3E.jpg")
    assert status == 200 and kept["name"] == "my photo.jpg" and kept["photo"].startswith("own-")
    status, table = told(served, "game", photo=kept["photo"])
    assert status == 200 and table["name"] == "my photo.jpg" and not table["target"]
    assert (table["width"], table["height"]) == (400, 300) and "psnr" not in [each["name"] for each in table["rewards"]]
    assert told(served, "turn", photo=kept["photo"], reward="entropy", evs=[0.5], ev=0)[0] == 200


def test_a_session_keeps_its_last_photos_and_two_do_not_disturb_each_other(served):
    mine, theirs = uploaded(served, photo_file())[1], uploaded(served, photo_file())[1]
    assert mine["session"] != theirs["session"] and mine["photo"] != theirs["photo"]
    for _ in range(MOST_EACH):
        assert uploaded(served, photo_file(), session=mine["session"])[1]["session"] == mine["session"]
    assert asked(served.port, "/api/game", json.dumps({"photo": theirs["photo"]}))[0] == 200
    status, content = told(served, "game", photo=mine["photo"])
    assert status == 404 and "forgotten" in content["error"]
    assert uploaded(served, photo_file(), session="forged")[1]["session"] != "forged"


@pytest.mark.parametrize(("body", "message"), [
    (b"", "the file is empty"), (b"Dear diary, this is text.", "not a JPEG, PNG, TIFF or WebP file"),
    (photo_file()[:900], "broken or cut short"), (b"\x89PNG\r\n\x1a\n" + bytes(100), "not a JPEG, PNG, TIFF or WebP"),
    (empty_png(20_000, 10_000), "too many pixels; the limit is 50 megapixels"),
    (empty_png(10_000, 8_000), "10000 x 8000 pixels, 80 megapixels; the limit is 50 megapixels"),
    (empty_png(30, 20), "broken or cut short"), (photo_file(kind="GIF"), "not a JPEG, PNG, TIFF or WebP file"),
], ids=["nothing", "text", "cut", "header", "200 megapixels", "80 megapixels", "empty", "gif"])
def test_what_is_no_photo_is_refused_in_words(served, body, message):
    status, content = uploaded(served, body)
    assert status == 400 and message in content["error"]


def test_a_file_that_is_too_large_is_refused_before_it_is_read(served):
    with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
        connection.sendall(f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
                           f"Connection: close\r\nContent-Length: {MOST_BYTES + 1}\r\n\r\n".encode())
        answer = b"".join(iter(lambda: connection.recv(4000), b"")).decode()
    assert " 413 " in answer.splitlines()[0] and "the limit is 30 MB" in answer


def test_an_upload_that_stops_halfway_disturbs_nobody(served, capfd):
    for _ in range(8):
        with socket.create_connection(("127.0.0.1", served.port), timeout=30) as connection:
            connection.sendall(f"POST /api/upload HTTP/1.1\r\nHost: 127.0.0.1:{served.port}\r\n"
                               "Content-Length: 100000\r\n\r\nthe beginning".encode())
    assert uploaded(served, photo_file())[0] == 200
    assert "Traceback" not in "".join(capfd.readouterr())


def test_photos_are_read_upright_small_and_with_8_bits():
    turned = Image.Exif()
    turned[274] = 6
    assert decoded(photo_file(30, 40, exif=turned)).shape == (40, 30, 3)
    assert decoded(photo_file(2000, 3200)).shape == (1000, 1600, 3)
    grey = io.BytesIO()
    Image.fromarray(np.full((20, 30), 51400, np.uint16)).save(grey, "PNG")
    assert decoded(grey.getvalue()).tolist()[0][0] == [200, 200, 200]
    assert decoded(photo_file(20, 30, "PNG")).dtype == np.uint8 == decoded(photo_file(20, 30, "WEBP")).dtype
    names = {"a/b\\c.png": "c.png", "<b>x</b>": "b", "\x00\n": "photo", "": "photo", "é" * 90: "é" * 60, "..": "photo"}
    assert {name: clean(name) for name in names} == names


def test_sessions_beyond_the_limit_are_forgotten_and_memory_stays_flat():
    uploads, file = Uploads(), photo_file(600, 900)
    first = uploads.add(None, "first.jpg", file)
    with at_most(60):
        for number in range(MOST_SESSIONS + 60):
            session, token, _ = uploads.add(None, f"{number}.jpg", file)
    assert uploads.photo(token).pixels.shape == (600, 900, 3) and len(uploads._sessions) == MOST_SESSIONS
    with pytest.raises(KeyError):
        uploads.photo(first[1])


def test_many_at_once_get_the_answers_that_they_get_alone(served):
    questions = [GAME | {"seed": seed, "ev": ev, "reward": reward}
                 for seed in (1, 2) for ev in (-1.0, 0.5) for reward in ("psnr", "entropy", "discriminator")]
    alone = [told(served, "turn", **question) for question in questions]
    with ThreadPoolExecutor(20) as pool:
        together = list(pool.map(lambda question: told(served, "turn", **question), 5 * questions))
    assert all(status == 200 for status, _ in alone) and together == 5 * alone


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to another process alone")
def test_the_command_serves_a_folder_with_targets_until_ctrl_c(tmp_path):
    for name, gain in {"photos": 0.5, "targets": 1.0}.items():
        (tmp_path / name).mkdir()
        pixels = (np.linspace(20, 200, 120)[None, :, None] * np.ones((80, 1, 3)) * gain).astype(np.uint8)
        save_image(tmp_path / name / "a.png", ImageFile(pixels))
    save_image(tmp_path / "photos" / "b.png", ImageFile(pixels))
    (tmp_path / "photos" / "c.png").write_text("no photo")
    arguments = ["play", str(tmp_path / "photos"), "--targets", str(tmp_path / "targets"), "--host", "0.0.0.0",
                 "--reward", "ssim"]
    command = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, text=True,
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    try:
        line = next(line for line in command.stdout if line.startswith("Open "))
        port = int(re.search(r":(\d+)/ in a browser; Ctrl-C ends", line)[1])
        tables = [asked(port, "/api/game", json.dumps({"photo": name})) for name in ("a.png", "b.png", "c.png")]
        command.send_signal(signal.SIGINT)
        errors = command.communicate(timeout=60)[1]
    finally:
        command.kill()
    assert [status for status, *_ in tables] == [200, 200, 500]
    assert (tables[0][2]["reward"], tables[0][2]["target"]) == ("ssim", True)
    assert tables[1][2]["reward"] == "well_exposedness" and not tables[1][2]["target"]
    assert "c.png" in tables[2][2]["error"] and str(tmp_path) not in tables[2][2]["error"]
    assert command.returncode == 0 and "Traceback" not in errors and "whoever reaches this address" in errors


def test_the_command_says_what_is_wrong_before_it_serves(tmp_path):
    (tmp_path / "empty").mkdir()
    for message, settings in {
        "there is no": {"photos": tmp_path / "nowhere"}, "no photo in": {"photos": tmp_path / "empty"},
        "seed must lie between 0": {"seed": -1}, "can't listen": {"port": 70_000}, "no agent at": {"model": tmp_path},
        "nonsense": {"reward": "nonsense"}, "give the photos, too": {"targets": tmp_path},
    }.items():  # fmt: skip
        with pytest.raises(ValueError, match=message):
            Play(**settings).run()


def test_without_starlette_the_extra_is_named(monkeypatch):
    for module in ("agents.playground.app", "agents.serving"):
        monkeypatch.delitem(sys.modules, module)
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(ValueError, match=re.escape('pip install -e ".[play]"')):
        importlib.import_module("agents.playground.app")
