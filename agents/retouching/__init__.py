"""Many photos retouched, one after the other, by a command that can be stopped and resumed."""

from agents.retouching.batch import Done, find_photos, make_jobs, retouch, warning
from agents.retouching.journal import Journal

__all__ = ["Done", "Journal", "find_photos", "make_jobs", "retouch", "warning"]
