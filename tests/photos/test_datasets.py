"""Data sets by download, from a file server on this machine, and from folders."""

import hashlib
import sys
import threading
import zipfile
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import pytest

from agents.cli import main
from exposure_env.photos import datasets
from exposure_env.photos.downloads import Source, data_root, fetched, photos_of, read_registry
from tests.files.small import encoded, noise

PHOTOS = {name: encoded(".png", noise((8, width, 3)))
          for width, name in {8: "train/0.png", 9: "train/1.png", 10: "val/2.png"}.items()}
REGISTRY = {name: hashlib.sha256(content).hexdigest() for name, content in PHOTOS.items()}
NOWHERE = "http://127.0.0.1:1/photos.zip"  # nothing listens there


class Server(SimpleHTTPRequestHandler):
    asked = 0
    breaks_off = 0  # so many replies end in the middle

    def do_GET(self):
        type(self).asked += 1
        if type(self).breaks_off > 0:
            type(self).breaks_off -= 1
            self.send_response(200)
            self.send_header("Content-Length", "100000")
            self.end_headers()
            self.wfile.write(b"PK" * 1000)
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@pytest.fixture
def server(tmp_path):
    pytest.importorskip("pooch", reason='data sets are downloaded by pooch: pip install -e ".[data]"')
    (tmp_path / "served").mkdir()
    handler = type("Handler", (Server,), {})
    listening = ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(tmp_path / "served")))
    thread = threading.Thread(target=listening.serve_forever, daemon=True)
    thread.start()
    handler.url, handler.folder = f"http://127.0.0.1:{listening.server_port}/photos.zip", tmp_path / "served"
    yield handler
    listening.shutdown()
    thread.join()
    listening.server_close()


def pack(path, photos=PHOTOS, prefix="mirror-main/images/"):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("mirror-main/README", "not a photo")
        for name, content in photos.items():
            archive.writestr(prefix + name, content)


def unpacked(folder, photos=PHOTOS):
    for name, content in photos.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def flipped(content):
    return content[:40] + bytes([content[40] ^ 1]) + content[41:]


def files(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def left_behind(root):
    return {path.name for path in root.iterdir()} - {"tiny", ".tiny.lock"}


def test_an_archive_damaged_on_its_way_is_named_by_its_address(tmp_path, server):
    pack(server.folder / "photos.zip")
    source = Source("tiny", server.url, REGISTRY)
    content = (server.folder / "photos.zip").read_bytes()
    for damaged in (content.replace(PHOTOS["val/2.png"], flipped(PHOTOS["val/2.png"])), b"<html>Please log in</html>"):
        (server.folder / "photos.zip").write_bytes(damaged)
        with pytest.raises(ValueError, match=r"http.*photos\.zip is not a whole zip archive.*take another copy"):
            fetched(source, tmp_path / "data", progress=False)
        assert left_behind(tmp_path / "data") == set()


@pytest.mark.parametrize("prefix", ["mirror-main/images/", "", "other/names/x"])
def test_an_archive_is_downloaded_once_and_unpacked_whatever_its_layout(tmp_path, server, prefix):
    pack(server.folder / "photos.zip", prefix=prefix)
    source, root = Source("tiny", server.url, REGISTRY), tmp_path / "data"
    for _ in range(2):
        folder = fetched(source, root, progress=False)
        assert folder == root / "tiny" and files(folder) == PHOTOS and server.asked == 1
    assert left_behind(root) == set()


def test_a_bar_shows_the_download(tmp_path, server, capsys):
    pack(server.folder / "photos.zip")
    fetched(Source("tiny", server.url, REGISTRY), tmp_path / "data")
    assert "100%" in capsys.readouterr().err


def test_only_what_is_missing_is_fetched_and_other_files_stay(tmp_path, server):
    pack(server.folder / "photos.zip")
    folder = unpacked(tmp_path / "data" / "tiny", {"train/0.png": PHOTOS["train/0.png"], "notes.txt": b"mine"})
    source = Source("tiny", server.url, REGISTRY)
    assert fetched(source, tmp_path / "data", "train/", progress=False) == folder
    assert files(folder) == PHOTOS | {"notes.txt": b"mine"} and server.asked == 1


def test_a_flipped_byte_in_a_folder_is_found_and_named_and_nothing_is_overwritten(tmp_path):
    name = "train/1.png"
    folder = unpacked(tmp_path / "tiny", PHOTOS | {name: flipped(PHOTOS[name])})
    with pytest.raises(ValueError, match=r"not as published.*: train/1\.png; remove them"):
        fetched(Source("tiny", NOWHERE, REGISTRY), tmp_path)
    assert files(folder)[name] == flipped(PHOTOS[name])
    assert fetched(Source("tiny", NOWHERE, REGISTRY), tmp_path, "val/") == folder  # the other split is as it should be


def test_a_flipped_byte_in_a_downloaded_archive_is_found_and_the_file_left_out(tmp_path, server):
    pack(server.folder / "photos.zip", PHOTOS | {"val/2.png": flipped(PHOTOS["val/2.png"])})
    with pytest.raises(ValueError, match=r"photos\.zip lacks, or has changed, val/2\.png; take another copy"):
        fetched(Source("tiny", server.url, REGISTRY), tmp_path / "data", progress=False)
    assert set(files(tmp_path / "data" / "tiny")) == {"train/0.png", "train/1.png"}
    assert left_behind(tmp_path / "data") == set()


def test_a_download_that_breaks_off_is_tried_again_from_its_start(tmp_path, server):
    pack(server.folder / "photos.zip")
    server.breaks_off = 1
    assert files(fetched(Source("tiny", server.url, REGISTRY), tmp_path / "data", progress=False)) == PHOTOS
    assert server.asked == 2


def test_a_download_that_keeps_breaking_off_leaves_nothing_and_the_next_call_succeeds(tmp_path, server):
    pack(server.folder / "photos.zip")
    server.breaks_off, source = 2, Source("tiny", server.url, REGISTRY)
    with pytest.raises(ConnectionError, match=r"cannot download http.*put the archive"):
        fetched(source, tmp_path / "data", progress=False)
    assert left_behind(tmp_path / "data") == set() and not (tmp_path / "data" / "tiny").exists()
    assert files(fetched(source, tmp_path / "data", progress=False)) == PHOTOS


def test_what_a_killed_download_left_is_removed(tmp_path, server):
    pack(server.folder / "photos.zip")
    (tmp_path / "data" / ".tiny.download").mkdir(parents=True)
    (tmp_path / "data" / ".tiny.download" / "tiny.zip").write_bytes((server.folder / "photos.zip").read_bytes()[:200])
    assert files(fetched(Source("tiny", server.url, REGISTRY), tmp_path / "data", progress=False)) == PHOTOS
    assert left_behind(tmp_path / "data") == set()


def test_without_a_network_the_error_says_which_file_to_put_where(tmp_path):
    pytest.importorskip("pooch", reason='data sets are downloaded by pooch: pip install -e ".[data]"')
    source = Source("tiny", NOWHERE, REGISTRY)
    with pytest.raises(ConnectionError) as caught:
        fetched(source, tmp_path, progress=False)
    assert f"put the archive {NOWHERE} at {tmp_path / 'tiny.zip'}" in str(caught.value)
    assert f"or the photos at {tmp_path / 'tiny'}, as train/0.png and so on" in str(caught.value)
    pack(tmp_path / "tiny.zip")  # as it says
    assert files(fetched(source, tmp_path)) == PHOTOS and (tmp_path / "tiny.zip").exists()


def test_an_archive_that_was_put_there_cut_short_is_named_and_kept(tmp_path):
    pack(tmp_path / "tiny.zip")
    cut = (tmp_path / "tiny.zip").read_bytes()[:-30]
    (tmp_path / "tiny.zip").write_bytes(cut)
    with pytest.raises(ValueError, match=r"tiny\.zip is not a whole zip archive"):
        fetched(Source("tiny", NOWHERE, REGISTRY), tmp_path)
    assert (tmp_path / "tiny.zip").read_bytes() == cut


def test_a_folder_in_another_layout_is_used_where_it_is(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPOSURE_DATA", str(tmp_path))
    unpacked(tmp_path / "Tiny" / "data" / "images")
    source = Source("tiny", NOWHERE, REGISTRY, ("Tiny/data/images",))
    assert fetched(source) == tmp_path / "Tiny" / "data" / "images"


def test_without_pooch_folders_work_and_a_download_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "pooch", None)  # importing it fails
    with pytest.raises(ValueError, match=r'pip install "deepexposure-gym\[data\]"; or put the archive'):
        fetched(Source("tiny", NOWHERE, REGISTRY), tmp_path)
    unpacked(tmp_path / "tiny")
    assert fetched(Source("tiny", NOWHERE, REGISTRY), tmp_path) == tmp_path / "tiny"
    monkeypatch.delenv("EXPOSURE_DATA", raising=False)
    with pytest.raises(ValueError, match="or set EXPOSURE_DATA"):
        data_root()


def test_the_data_folder_is_the_one_given_then_the_variables_then_the_users_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("EXPOSURE_DATA", str(tmp_path))
    assert data_root() == tmp_path and data_root(tmp_path / "other") == tmp_path / "other"
    pytest.importorskip("pooch", reason='the cache is known to pooch: pip install -e ".[data]"')
    monkeypatch.delenv("EXPOSURE_DATA")
    assert data_root().name == "deepexposure-gym"


def test_bsds500_is_registered_in_its_official_splits():
    registry = read_registry("bsds500")
    counts = {split: sum(name.startswith(f"{split}/") for name in registry) for split in ("train", "val", "test")}
    assert counts == {"train": 200, "val": 100, "test": 200} and len(set(registry.values())) == len(registry) == 500
    assert sorted(read_registry("kodak")) == [f"kodim{i:02}.png" for i in range(1, 25)]


def test_bsds500_refuses_what_is_not_bsds500(tmp_path, capsys):
    with pytest.raises(ValueError, match='"train", "val" or "test", not \'all\''):
        datasets.bsds500("all", tmp_path)
    unpacked(tmp_path / "bsds500", {"train/2092.jpg": b"another photo"})
    with pytest.raises(ValueError, match=r"not as published.*train/2092\.jpg"):
        datasets.bsds500("train", tmp_path)
    assert main(["data", "bsds500", "--root", str(tmp_path)]) == 2
    assert "train/2092.jpg" in capsys.readouterr().err
    pack(tmp_path / "kodak.zip")
    with pytest.raises(ValueError, match=r"kodak\.zip lacks.*kodim01\.png.* and 19 more"):
        datasets.kodak(tmp_path)


def test_the_photos_of_a_split_are_opened_unless_a_strange_one_lies_among_them(tmp_path):
    folder, source = unpacked(tmp_path / "tiny"), Source("tiny", NOWHERE, REGISTRY)
    photos = photos_of(source, tmp_path, "train")
    assert [photo.name for photo in photos] == ["0", "1"] and photos.folder == folder / "train"
    (folder / "train" / "mine.png").write_bytes(PHOTOS["val/2.png"])
    with pytest.raises(ValueError, match=r"train holds photos that aren't of tiny: mine\.png; move them away"):
        photos_of(source, tmp_path, "train")
    assert len(photos_of(source, tmp_path, "val")) == 1
