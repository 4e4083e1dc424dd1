"""Many photos retouched, one after the other, by a command that can be stopped and resumed."""

from agents.retouching.batch import find_photos, make_jobs, retouch
from agents.retouching.journal import Journal

__all__ = ["Journal", "find_photos", "make_jobs", "retouch"]
