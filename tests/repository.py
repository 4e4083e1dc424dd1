"""Where the repository is, and how to start its programs as a user would."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
