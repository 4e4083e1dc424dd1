"""A finished retouch: the plan, and its rendering at the photo's full size.

The plan is made on a thumbnail, and the thumbnail's rendering is what the agent saw and was rewarded for. So it stays
in charge at full size: the tones are its own, its segments and weights are fitted to the photo's edges (by the fast
guided filter of He and Sun, 2015), and only detail finer than its pixels is blended anew.
"""

from exposure_env.retouch.apply import apply_plan
from exposure_env.retouch.full_size import exposure_fusion
from exposure_env.retouch.guided import soft_masks
from exposure_env.retouch.plan import RetouchPlan

__all__ = ["RetouchPlan", "apply_plan", "exposure_fusion", "soft_masks"]
