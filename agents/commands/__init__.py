"""The commands of `exposure` but for those that train: retouching, playing, and all that has to do with rewards.

Each is a dataclass of its options with a method `run`, and imports what it needs when it runs.
"""

from agents.commands.data import Data
from agents.commands.play import Play
from agents.commands.prefer import Prefer
from agents.commands.retouch import Retouch, Show, load
from agents.commands.rewards import AuditReward, CheckReward, LearnPreferences

__all__ = ["AuditReward", "CheckReward", "Data", "LearnPreferences", "Play", "Prefer", "Retouch", "Show", "load"]
