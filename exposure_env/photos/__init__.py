"""Photographs for training and evaluation: folders, data sets by name, synthetic misexposure, thumbnails, samples.

A data set is any `Sequence[Photo]`: a list, `FolderPhotos`, `PairedPhotos` or a class of your own.
"""

from exposure_env.photos.backlighting import Backlight, backlight, base_layer
from exposure_env.photos.datasets import BSDS500_URL, KODAK_URL, bsds500, fivek, kodak
from exposure_env.photos.degradation import Degradation
from exposure_env.photos.fivek_making import FiveKReport, make_fivek
from exposure_env.photos.fivek_photos import FiveKPhotos, fivek_ids
from exposure_env.photos.folders import FolderPhotos, PairedPhotos
from exposure_env.photos.fresh import Crop, MisexposeAgain, OneOf, Steps, Transform, Variants
from exposure_env.photos.misexposure import Misexpose, misexpose, misexposed
from exposure_env.photos.photo import Photo, check_photo
from exposure_env.photos.samples import resolve_photos, sample_photos, sample_scenes
from exposure_env.photos.thumbnails import content_box, photo_thumbnail, thumbnail

__all__ = [
    "BSDS500_URL", "KODAK_URL", "Backlight", "Crop", "Degradation", "FiveKPhotos", "FiveKReport", "FolderPhotos",
    "Misexpose", "MisexposeAgain", "OneOf", "PairedPhotos", "Photo", "Steps", "Transform", "Variants", "backlight",
    "base_layer", "bsds500", "check_photo", "content_box", "fivek", "fivek_ids", "kodak", "make_fivek", "misexpose",
    "misexposed", "photo_thumbnail", "resolve_photos", "sample_photos", "sample_scenes", "thumbnail",
]  # fmt: skip
