"""The server behind the page: every answer recorded once, nothing else served, nobody else answered."""

import importlib
import io
import json
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image

from exposure_env.files import ImageFile, save_image
from exposure_env.photos import Photo, sample_photos, thumbnail
from tests.asking import asked
from tests.preferring import serving
from tests.repository import ROOT

pytest.importorskip("starlette", reason='the page needs Starlette: pip install -e ".[play]"')
pytest.importorskip("uvicorn", reason='the page needs Uvicorn: pip install -e ".[play]"')

from agents.commands.prefer import Prefer  # noqa: E402
from agents.preferring.page import MOST_OPEN  # noqa: E402
from agents.serving import host_names, is_loopback, listen  # noqa: E402

COMMAND = "import sys, tyro; from agents.commands.prefer import Prefer; sys.exit(tyro.cli(Prefer).run())"


@pytest.fixture
def served(tmp_path):
    with serving(tmp_path / "answers") as served:
        yield served


def answered(port, token, choice="left"):
    status, _, content = asked(port, "/answer", json.dumps({"token": token, "choice": choice}))
    return status, content


def test_the_page_is_one_file_and_may_load_nothing_from_elsewhere(served):
    status, headers, content = asked(served.port, "/")
    html = content.decode()
    assert status == 200 and headers["Content-Type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in headers["Content-Security-Policy"] and headers["Cache-Control"] == "no-store"
    assert set(re.findall(r"https?://[^'\"\s]*", html)) == {"http://www.w3.org/2000/svg"}  # the name of a format
    assert not re.search(r"<script[^>]+src|<link[^>]+stylesheet|@import|innerHTML", html)


def test_an_answer_is_recorded_with_what_was_shown(served):
    choices, shown = ["left", "right", "left"], []
    for given, choice in enumerate(choices):
        status, _, pair = asked(served.port, "/pair")
        assert status == 200 and (pair["given"], pair["number"]) == (given, 3)
        images = [asked(served.port, f"/image/{pair['token']}/{side}") for side in ("left", "right")]
        assert all((status, headers["Content-Type"]) == (200, "image/jpeg") for status, headers, _ in images)
        decoded = [Image.open(io.BytesIO(content)) for _, _, content in images]
        assert all(image.format == "JPEG" and image.size == (pair["width"], pair["height"]) for image in decoded)
        shown.append([thumbnail(np.asarray(image), 64) for image in decoded])
        assert answered(served.port, pair["token"], choice) == (200, {"given": given + 1, "number": 3})
    assert asked(served.port, "/pair")[2] == {"given": 3, "number": 3}
    recorded = served.folder.read()
    assert [each.preferred for each in recorded] == choices and {each.judge for each in recorded} == {"tester"}
    assert {each.photo for each in recorded} <= {photo.name for photo in sample_photos("test", 4)}
    for each, sides in zip(recorded, shown, strict=True):
        assert all(abs(one - other).mean() < 0.02 for one, other in zip(each[:2], sides, strict=True))


def test_the_jpegs_are_of_quality_90(served):
    token = asked(served.port, "/pair")[2]["token"]
    expected = io.BytesIO()
    Image.new("RGB", (8, 8)).save(expected, "JPEG", quality=90)
    tables = [Image.open(io.BytesIO(content)).quantization
              for content in (asked(served.port, f"/image/{token}/right")[2], expected.getvalue())]
    assert tables[0] == tables[1]


def test_a_pair_is_answered_once_even_if_many_answer_together(served):
    token = asked(served.port, "/pair")[2]["token"]
    with ThreadPoolExecutor(8) as pool:
        statuses = list(pool.map(lambda number: answered(served.port, token, ("left", "right")[number % 2])[0],
                                 range(8)))
    assert sorted(statuses) == [200] + 7 * [409]
    assert len(served.folder.read()) == 1 and served.ballot.given == 1
    assert asked(served.port, f"/image/{token}/left")[0] == 409


def test_many_pairs_answered_together_are_all_recorded(served):
    tokens = [asked(served.port, "/pair")[2]["token"] for _ in range(8)]
    with ThreadPoolExecutor(8) as pool:
        given = [content["given"] for _, content in pool.map(lambda token: answered(served.port, token), tokens)]
    assert sorted(given) == list(range(1, 9)) and len(served.folder.read()) == 8


def test_a_skipped_pair_is_closed_and_not_recorded(served):
    token = asked(served.port, "/pair")[2]["token"]
    assert answered(served.port, token, "skip") == (200, {"given": 0, "number": 3})
    assert answered(served.port, token)[0] == 409 and not served.folder.folder.exists()


def test_tokens_are_unguessable(served):
    tokens = [asked(served.port, "/pair")[2]["token"] for _ in range(4)]
    assert len(set(tokens)) == 4 and min(map(len, tokens)) >= 20
    assert not any(one[:4] == other[:4] for one, other in pairwise(tokens))


def test_the_oldest_pairs_are_forgotten(served):
    tokens = [served.ballot.ask()[0] for _ in range(MOST_OPEN + 2)]
    assert MOST_OPEN == 64
    assert [answered(served.port, token)[0] for token in tokens[:3]] == [404, 404, 200]


@pytest.mark.parametrize("path", ["/image/unknown/left", "/image/../../pyproject.toml", "/image/..%2f..%2fx/left",
                                  "/static/prefer.html", "/prefer.html", "/favicon.ico", "//etc/passwd", "/answer/x"])
def test_nothing_else_is_served(served, path):
    status, _, content = asked(served.port, path)
    assert status == 404 and content.keys() == {"error"}


def test_a_pair_has_two_sides_and_no_more(served):
    token = asked(served.port, "/pair")[2]["token"]
    assert asked(served.port, f"/image/{token}/folder")[0] == 404
    assert asked(served.port, "/answer")[0] == asked(served.port, "/pair", "{}")[0] == 405


@pytest.mark.parametrize("body", ["", "{", "[]", "null", '{"token": 1, "choice": "left"}', '{"token": "x"}', b"\xff{",
                                  '{"token": "x", "choice": ["left"]}', '{"token": "x", "choice": "both"}', "[" * 4000])
def test_what_is_no_answer_is_refused_with_a_reason(served, body):
    status, _, content = asked(served.port, "/answer", body)
    assert status == 400 and "answer" in content["error"]


def test_a_long_body_is_refused(served):
    token = asked(served.port, "/pair")[2]["token"]
    body = json.dumps({"token": token, "choice": "left"})
    assert asked(served.port, "/answer", body.ljust(4097))[0] == 413 and served.ballot.given == 0
    assert asked(served.port, "/answer", body.ljust(4096))[0] == 200


def test_an_unknown_token_is_not_found(served):
    assert answered(served.port, "x")[0] == answered(served.port, "\ud800")[0] == 404


def test_an_answer_that_cannot_be_recorded_may_be_given_again(served):
    served.folder.folder.write_text("in the way")
    token = asked(served.port, "/pair")[2]["token"]
    status, content = answered(served.port, token)
    assert status == 500 and "can't be recorded" in content["error"]
    served.folder.folder.unlink()
    assert answered(served.port, token) == (200, {"given": 1, "number": 3})


def test_pages_of_others_are_refused(served):
    own = f"127.0.0.1:{served.port}"
    for host in (own, f"localhost:{served.port}", f"LOCALHOST:{served.port}"):
        assert asked(served.port, "/", Host=host)[0] == 200
    for host in ("evil.example", f"evil.example:{served.port}", "127.0.0.1", f"127.0.0.1:{served.port + 1}", ""):
        status, _, content = asked(served.port, "/pair", Host=host)
        assert status == 403 and "this server is not" in content["error"]
    assert asked(served.port, "/pair", Origin=f"http://{own}")[0] == 200
    for origin in ("null", "http://evil.example", f"https://{own}", f"http://localhost:{served.port}"):
        assert asked(served.port, "/pair", Origin=origin)[0] == 403


def test_names_are_known_on_loopback_only():
    with listen("127.0.0.1") as listening:
        port = listening.getsockname()[1]
        assert host_names(listening, "127.0.0.1") == {f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]")}
        assert host_names(listening, "0.0.0.0") is None
        with pytest.raises(ValueError, match=f"can't listen on 127.0.0.1, port {port}"):
            listen("127.0.0.1", port)
    assert [is_loopback(host) for host in ("localhost", "127.9.9.9", "::1", "0.0.0.0", "192.168.0.2", "my-machine")] \
        == 3 * [True] + 3 * [False]
    for port in (-1, 65536):
        with pytest.raises(ValueError, match="can't listen"):
            listen("127.0.0.1", port)


def test_a_photo_that_cannot_be_shown_is_named_and_the_others_go_on(tmp_path):
    photos = [Photo("night", np.zeros((20, 30, 3), np.float32)), sample_photos("test", 1)[0]]
    with serving(tmp_path / "answers", photos=photos) as served:
        pairs = [asked(served.port, "/pair")[2] for _ in range(8)]
        assert {pair["photo"] for pair in pairs} == {photos[1].name}
        assert pairs[-1]["left_out"] == ["night: its retouches all look the same"]
    with serving(tmp_path / "answers", photos=photos[:1]) as served:
        for _ in range(2):
            status, _, content = asked(served.port, "/pair")
            assert status == 500 and content["error"] == "none of the photos can be shown" and "night" in str(content)


def test_without_starlette_the_extra_is_named(monkeypatch):
    monkeypatch.delitem(sys.modules, "agents.preferring.page")
    monkeypatch.delitem(sys.modules, "agents.serving")
    monkeypatch.setitem(sys.modules, "starlette.applications", None)
    with pytest.raises(ValueError, match=re.escape('pip install -e ".[play]"')):
        importlib.import_module("agents.preferring.page")


@pytest.mark.skipif(sys.platform == "win32", reason="Ctrl-C can't be sent to another process alone")
def test_the_command_counts_on_and_ends_with_ctrl_c(tmp_path):
    photos, out, seen = tmp_path / "photos", tmp_path / "answers", []
    photos.mkdir()
    for photo in sample_photos("test", 2):
        save_image(photos / f"{photo.name}.png", ImageFile((photo.image * 255).round().astype(np.uint8)))
    for given, host in enumerate(("127.0.0.1", "0.0.0.0")):
        arguments = [photos, "-o", out, "--judge", "ann", "--number", "5", "--host", host]
        command = subprocess.Popen([sys.executable, "-c", COMMAND, *arguments], cwd=ROOT, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        try:
            line = command.stdout.readline()
            assert line.startswith(f"{given} of 5 answers. Open http://{host}:")
            port = int(re.search(r":(\d+)/ in a browser", line)[1])
            pair = asked(port, "/pair")[2]
            seen.append([asked(port, f"/image/{pair['token']}/{side}")[2] for side in ("left", "right")])
            assert answered(port, pair["token"]) == (200, {"given": given + 1, "number": 5})
            if given:
                with pytest.raises(ValueError, match="another `exposure prefer` writes to"):
                    Prefer(out, photos).run()
            command.send_signal(signal.SIGINT)
            told, errors = command.communicate(timeout=60)
        finally:
            command.kill()
        assert command.returncode == 0 and "Traceback" not in errors
        assert ("whoever reaches this address" in errors) == (host == "0.0.0.0")
        assert told.strip() == (f"{given + 1} answer{'s' if given else ''} in {out}. Learn from them: "
                                f"exposure learn-preferences {out} -o reward.safetensors")
    assert seen[0] != seen[1]  # the second start doesn't ask the same again
    assert {path.name for path in out.iterdir()} >= {"preferences.jsonl", "pairs"}


def test_the_command_says_what_is_wrong_before_it_writes(tmp_path):
    out = tmp_path / "answers"
    (tmp_path / "empty").mkdir()
    for told, settings in {"number must be 1 or more": {"number": 0}, "is not a folder": {"photos": tmp_path / "x"},
                           "no photo in": {"photos": tmp_path / "empty"}, "can't listen": {"port": 70_000}}.items():
        with pytest.raises(ValueError, match=told):
            Prefer(out, **settings).run()
    assert not out.exists()
