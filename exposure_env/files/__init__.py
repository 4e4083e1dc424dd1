"""Image files in and out: JPEG, PNG and TIFF of 8 and 16 bits, with EXIF data and colour profile; raw files in."""

from exposure_env.files.images import MAX_PIXELS, SUFFIXES, ImageFile, load_image, pixel_bytes, read_image, save_image
from exposure_env.files.raw import RAW_SUFFIXES
from exposure_env.files.regular import opened, read_small
from exposure_env.files.whole import remove_leftovers, write_whole, written_whole

__all__ = [
    "MAX_PIXELS", "RAW_SUFFIXES", "SUFFIXES", "ImageFile", "load_image", "opened", "pixel_bytes", "read_image",
    "read_small", "remove_leftovers", "save_image", "write_whole", "written_whole",
]  # fmt: skip
