import numpy as np
import pytest

from exposure_env.segmentation import SEGMENTERS, merge_segments, order_segments, segment
from tests.segmentation.small import IMAGE, LABELS, mosaic


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 4)), r"\(4, 4\)"),
        (np.zeros((4, 4, 4)), r"\(4, 4, 4\)"),
        (np.zeros((0, 4, 3)), r"\(0, 4, 3\)"),
        (np.zeros((4, 4, 3), np.uint8), "uint8"),
        (np.full((4, 4, 3), 255.0), "255"),
        (np.full((4, 4, 3), -0.5), "-0.5"),
        (np.full((4, 4, 3), np.nan), "nan"),
    ],
)
def test_malformed_image(image, message):
    labels = np.zeros((4, 4), int)
    doors = [segment, *SEGMENTERS.values()]
    doors += [lambda i: merge_segments(labels, i, 2), lambda i: order_segments(labels, i)]
    for door in doors:
        with pytest.raises(ValueError, match=message):
            door(image)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"max_segments": 0}, "max_segments .* 0"),
        ({"max_segments": 2.5}, "2.5"),
        ({"segmenter": "watershed"}, "watershed"),
        ({"segmenter": None}, "None"),
        ({"segmenter": ["slic"]}, "slic"),
        ({"order": "size"}, "size"),
        ({"order": "random"}, "rng=None"),
        ({"scale": -1}, "scale .* -1"),
        ({"sigma": float("nan")}, "sigma .* nan"),
        ({"min_size": float("inf")}, "min_size .* inf"),
        ({"segmenter": "luminance_bands", "bands": 0}, "bands .* 0"),
        ({"segmenter": "slic", "segments": 0}, "segments .* 0"),
    ],
)
def test_malformed_arguments(arguments, message):
    with pytest.raises(ValueError, match=message):
        segment(mosaic(0), **arguments)


def test_malformed_labels():
    for function in (lambda labels: merge_segments(labels, IMAGE, 2), lambda labels: order_segments(labels, IMAGE)):
        with pytest.raises(ValueError, match=r"\(1, 7\)"):
            function(LABELS[:, :-1])
        with pytest.raises(ValueError, match="float64"):
            function(LABELS * 1.0)
