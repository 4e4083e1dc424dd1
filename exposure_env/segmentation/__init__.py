"""From a photo to labels: the segments that are exposed one after another.

A segmenter is any function from an image, (H, W, 3) float32 and sRGB-encoded in [0, 1], to (H, W) integer labels.
`segment` adds what an episode needs: at most `max_segments` segments, an order, and a cache. Pixels have eight
neighbours throughout: diagonal ones touch, as in Felzenszwalb's graph.
"""

from exposure_env.segmentation.cached import segment, segment_many
from exposure_env.segmentation.merging import Order, merge_segments, order_segments
from exposure_env.segmentation.segmenters import SEGMENTERS, Segmenter, felzenszwalb, luminance_bands, slic

__all__ = [
    "SEGMENTERS", "Order", "Segmenter", "felzenszwalb", "luminance_bands", "merge_segments", "order_segments",
    "segment", "segment_many", "slic",
]  # fmt: skip
