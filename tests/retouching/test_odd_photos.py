"""One odd photo, or one odd line in the journal, and all others are retouched as ever."""

import io
import re

import numpy as np
import pytest
from PIL import Image

from agents.retouching.journal import JOURNAL
from exposure_env.files import ImageFile, load_image, save_image
from tests.retouching.small import photo, run

DEEP = b'{"result": ' + b"[" * 100_000


def jpeg(exif: bytes) -> bytes:
    file = io.BytesIO()
    Image.fromarray(photo("astronaut", 60, 40)).save(file, "JPEG", exif=b"Exif\0\0" + exif)
    return file.getvalue()


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Truncated File Read")
@pytest.mark.parametrize("exif", [
    b"MM\x10*" + bytes(40), b"MM\x00+\x00\x08\x00\x00" + bytes(40), b"II*\0", b"XX*\0\x08\0\0\0\0\0",
    b"II*\0\x08\0\0\0\x01\0\x0f\x01\x0c\0\xff\xff\xff\x7f\0\0\0\0\0\0\0\0",  # a maker that is 2 GB of numbers
    b"II*\0\x08\0\0\0\x01\0\x69\x87\x02\0\x04\0\0\0abc\0\0\0\0\0",  # text where the place of more tags should be
    b"MM\0*\0\0\0\x08\0\x01\x82\x98\0\x0c\0\0\0\x01\x40\x09\x21\xfb\0\0\0\0",  # a copyright that is a number
], ids=repr)
def test_broken_exif_data_do_not_spoil_the_batch(tmp_path, exif):
    photos, out = tmp_path / "photos", tmp_path / "out"
    photos.mkdir()
    for name in ("a.tif", "b.jpg", "c.png"):
        (photos / name).write_bytes(jpeg(exif))
    save_image(photos / "d.png", ImageFile(photo("chelsea", 60, 40)))
    assert run(photos, "-o", out) == 0
    assert {path.name for path in out.iterdir()} == {"a.tif", "b.jpg", "c.png", "d.png", JOURNAL}
    for name in ("a.tif", "b.jpg", "c.png"):
        assert load_image(out / name).pixels.shape == (40, 60, 3)


@pytest.mark.parametrize("field, value", [
    ("time", b"null"), ("time", b'"abc"'), ("time", b"[1]"), ("time", b"1e999"), ("size", b"null"), ("size", b"{}"),
    ("result", b"null"), ("result", b"[]"), ("key", b"0"), ("plan", b"[[]]"), ("plan", b"{}"), ("plan", None),
])
def test_an_odd_line_of_the_journal_is_passed_over(photos, out, field, value, capsys):
    assert run(photos, "-o", out, "--plans") == 0
    journal = out / JOURNAL
    lines = journal.read_bytes().splitlines()
    of_field, put = rb'"%s": ("[^"]*"|[^,}]*)' % field.encode(), f'"{field}": '.encode()
    odd = [re.sub(of_field, put + value if value else b'"x": 1', line) for line in lines if line]
    journal.write_bytes(b"\n".join([*odd, *lines, *odd, DEEP, b"\xff\xfe", b"5", b"null", b'["result"]', *odd]))
    capsys.readouterr()
    assert run(photos, "-o", out, "--plans") == 0
    assert "Skipped: 3 of 3" in capsys.readouterr().out


def test_whatever_is_wrong_with_a_photo_it_is_named_and_the_others_are_retouched(photos, out, capsys):
    """A photo that the agent's segmenter can't cut up, with an error of a kind that nobody expects."""
    from agents.retouching import Journal, make_jobs, retouch
    from agents.saved_agent import load_agent

    class Odd(Exception):
        pass

    def planned(pixels: np.ndarray):
        if pixels.mean() == 0:
            raise Odd("nothing to see")
        return agent.plan(pixels)

    agent = load_agent()
    save_image(photos / "aa.png", ImageFile(np.zeros((40, 60, 3), np.uint8)))
    out.mkdir()

    class Careful:
        policy, segmenter, settings, plan = agent.policy, agent.segmenter, agent.settings, staticmethod(planned)

    jobs = make_jobs(sorted(path for path in photos.iterdir() if path.suffix == ".png" and path.name[0] != "."), out)
    results = list(retouch(Careful, jobs, Journal(out, Careful)))
    assert [done.error for done in results] == [None, f"{photos / 'aa.png'}: Odd: nothing to see"]
