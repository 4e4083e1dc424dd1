import os
import stat

import pytest

from exposure_env.files import ImageFile, load_image, save_image
from tests.files.small import noise


def test_a_failed_save_leaves_the_old_file_alone(tmp_path, monkeypatch):
    save_image(tmp_path / "a.png", ImageFile(noise((4, 4, 3))))
    before = (tmp_path / "a.png").read_bytes()

    def fail(*_):
        raise OSError("no space left")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="no space left"):
        save_image(tmp_path / "a.png", ImageFile(noise((8, 8, 3))))
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (tmp_path / "a.png").read_bytes() == before


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such permissions")
def test_a_replaced_file_keeps_its_permissions(tmp_path):
    save_image(tmp_path / "a.png", ImageFile(noise((4, 4, 3))))
    (tmp_path / "a.png").chmod(0o640)
    save_image(tmp_path / "a.png", ImageFile(noise((5, 5, 3))))
    assert stat.S_IMODE((tmp_path / "a.png").stat().st_mode) == 0o640
    assert load_image(tmp_path / "a.png").pixels.shape == (5, 5, 3)
