"""EXIF data as photos carry it from file to file: with orientation 1 and without a preview picture."""

import struct
import zlib
from typing import BinaryIO

from PIL import Image

# TIFF tag numbers, which EXIF shares. The texts are description, make, model, software, date, artist, copyright.
BITS, PHOTOMETRIC, PLANES, EXTRA, SAMPLE_FORMAT = 258, 262, 284, 338, 339
ORIENTATION, ICC, EXIF, GPS = 274, 34675, 34665, 34853
TEXTS = (270, 271, 272, 305, 306, 315, 33432)
MAKER_NOTE = 37500


def upright_exif(exif: bytes | None) -> tuple[int, bytes | None]:
    """The orientation in EXIF data, 1 if there is none, and the data with orientation 1, or None if they are broken.

    The data are patched in place: rewriting the directory would move the maker notes and break their own offsets.
    Broken EXIF data do not spoil the photo.
    """
    data, orientation = bytearray((exif or b"").removeprefix(b"Exif\0\0")), 1
    if data[:4] not in (b"II*\0", b"MM\0*"):
        return 1, None
    order = "<" if data[:2] == b"II" else ">"
    try:
        (start,) = struct.unpack_from(order + "I", data, 4)
        (count,) = struct.unpack_from(order + "H", data, start)
        for entry in range(start + 2, start + 2 + 12 * count, 12):
            if struct.unpack_from(order + "H", data, entry) == (ORIENTATION,):
                (orientation,) = struct.unpack_from(order + "H", data, entry + 8)
                struct.pack_into(order + "H", data, entry + 8, 1)
        # The next directory describes the preview picture, which a retouched photo no longer looks like.
        struct.pack_into(order + "I", data, start + 2 + 12 * count, 0)
    except struct.error:
        return 1, None
    return orientation, bytes(data)


def picked_exif(found: Image.Exif, maker_notes: bool = True) -> bytes | None:
    """EXIF data from a TIFF's tags, without those that describe the file's layout; None if there are none.

    Args:
        found: All tags.
        maker_notes: Whether to keep the camera maker's own notes.
    """
    try:
        kept = Image.Exif()
        kept.update({tag: found[tag] for tag in TEXTS if tag in found})
        for tag in (EXIF, GPS):
            if values := {key: value for key, value in found.get_ifd(tag).items() if maker_notes or key != MAKER_NOTE}:
                kept[tag] = values
        return kept.tobytes() if kept else None
    except Exception:  # odd values that cannot be written again do not spoil the photo
        return None


def png_exif(file: BinaryIO) -> bytes | None:
    """The EXIF data of a PNG, wherever they are in the file; None if there are none.

    Raises:
        ValueError: If the file is cut short, or a checksum is wrong.
    """
    exif, name, size = None, b"", file.seek(0, 2)
    file.seek(8)
    while name != b"IEND":
        length, name = struct.unpack(">I4s", file.read(8).ljust(8))
        data, checksum = file.read(min(length, size)), file.read(4)
        if checksum != struct.pack(">I", zlib.crc32(data, zlib.crc32(name))):
            raise ValueError("the file is broken or cut short")
        exif = data if name == b"eXIf" else exif
    return exif
