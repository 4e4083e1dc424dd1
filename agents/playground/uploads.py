"""Photos that students bring along: read with care, kept in memory alone, and forgotten when others come."""

import io
import re
import secrets
import warnings
from collections import OrderedDict
from threading import Lock
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageOps

from agents.encoding import jpeg
from agents.playground.gallery import FULL_SIDE, Shown, to_bytes

MOST_BYTES = 30_000_000  # of a file
MOST_PIXELS = 50_000_000
MOST_SESSIONS = 32  # that have photos of their own; the one that was used the longest time ago is forgotten
MOST_EACH = 3  # photos of a session; its oldest is forgotten
KEPT_QUALITY = 95  # of the JPEGs that photos are kept as
FORMATS = ("JPEG", "PNG", "TIFF", "WEBP")
LONGEST_NAME = 60


class Upload(NamedTuple):
    """A photo that was brought along."""

    name: str
    file: bytes  # a JPEG


class Uploads:
    """The photos of each session; safe to be used by several threads.

    Sessions and photos have unguessable tokens. Whoever has a photo's token sees it, which is how a link to it works.
    """

    def __init__(self) -> None:
        self._sessions: OrderedDict[str, OrderedDict[str, Upload]] = OrderedDict()  # the longest unused first
        self._lock, self._reading = Lock(), Lock()

    def add(self, session: str | None, name: str, body: bytes) -> tuple[str, str, str]:
        """Keeps a photo.

        Args:
            session: The session's token; a new session begins where there is none, or it was forgotten.
            name: The file's name, as the browser gives it.
            body: The file.

        Returns:
            The tokens of the session and the photo, and the photo's name.

        Raises:
            ValueError: See `decoded`.
        """
        with self._reading:  # one at a time: a large one takes much memory until it is shrunk
            upload = Upload(clean(name), jpeg(decoded(body), KEPT_QUALITY))
        token = secrets.token_urlsafe(12)
        with self._lock:
            if session is None or session not in self._sessions:
                session = secrets.token_urlsafe(12)
            photos = self._sessions.setdefault(session, OrderedDict())
            self._sessions.move_to_end(session)
            photos[token] = upload
            while len(photos) > MOST_EACH:
                photos.popitem(last=False)
            while len(self._sessions) > MOST_SESSIONS:
                self._sessions.popitem(last=False)
        return session, token, upload.name

    def photo(self, token: str) -> Shown:
        """A photo, by its token.

        Raises:
            KeyError: If there is none, or it was forgotten.
        """
        with self._lock:
            session = next((each for each, photos in self._sessions.items() if token in photos), None)
            if session is None:
                raise KeyError(token)
            self._sessions.move_to_end(session)
            upload = self._sessions[session][token]
        return Shown(upload.name, np.asarray(Image.open(io.BytesIO(upload.file), formats=["JPEG"])))


def decoded(body: bytes) -> np.ndarray:
    """The upright pixels of a photo's file, (H, W, 3) uint8, the longer side at most `FULL_SIDE`.

    Raises:
        ValueError: If it is too large, broken or no photo; the message is meant for whoever chose the file.
    """
    if not body:
        raise ValueError("the file is empty")
    try:
        with warnings.catch_warnings(action="ignore", category=Image.DecompressionBombWarning):
            image = Image.open(io.BytesIO(body), formats=FORMATS)
    except Image.DecompressionBombError as error:
        raise ValueError(f"the photo has too many pixels; the limit is {MOST_PIXELS / 1e6:.0f} megapixels") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise ValueError("this is not a JPEG, PNG, TIFF or WebP file, or it is broken") from error
    if image.width * image.height > MOST_PIXELS:
        raise ValueError(f"the photo has {image.width} x {image.height} pixels, {image.width * image.height / 1e6:.0f} "
                         f"megapixels; the limit is {MOST_PIXELS / 1e6:.0f} megapixels")
    try:
        image.draft("RGB", (FULL_SIDE, FULL_SIDE))  # a large JPEG is decoded at half, a quarter or an eighth its size
        image = ImageOps.exif_transpose(image)
        if image.mode.startswith(("I", "F")):
            return to_bytes(_grey(np.asarray(image)))
        return to_bytes(np.asarray(image.convert("RGB")))
    except Exception as error:  # on broken files, decoders raise exceptions of almost every type
        if isinstance(error, MemoryError):
            raise
        raise ValueError(f"the photo is broken or cut short: {error or type(error).__name__}") from error


def clean(name: str) -> str:
    """A file's name that is safe to show: no folders, no control characters, not long."""
    name = re.sub(r"[^\w .()-]", "", re.split(r"[/\\]", name)[-1]).strip(" .")
    return name[:LONGEST_NAME] or "photo"


def _grey(values: np.ndarray) -> np.ndarray:
    """Grey pixels of 16 bits as colour."""
    if values.dtype.kind == "f" or values.min() < 0 or values.max() > 65535:
        raise ValueError("its pixels are neither of 8 nor of 16 bits")
    return np.repeat(values.astype(np.uint16)[..., None], 3, axis=-1)
