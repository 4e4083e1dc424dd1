"""Laplacian pyramids of single planes, by OpenCV: for images too large for `pyramid`'s matrices."""

import cv2
import numpy as np


def gaussians(plane: np.ndarray, levels: int) -> list[np.ndarray]:
    """The plane and its halves, quarters, and so on: levels + 1 planes."""
    planes = [plane]
    for _ in range(levels):
        planes.append(cv2.pyrDown(planes[-1]))
    return planes


def add_bands(plane: np.ndarray, weights: list[np.ndarray], bands: list[np.ndarray]) -> None:
    """Adds the plane's weighted Laplacian bands to `bands`, or fills an empty list with them; overwrites the plane."""
    levels = len(weights) - 1
    for level in range(levels + 1):
        coarser = cv2.pyrDown(plane) if level < levels else None
        if coarser is not None:
            plane -= cv2.pyrUp(coarser, dstsize=plane.shape[::-1])
        plane *= weights[level]
        if len(bands) == level:
            bands.append(plane)
        else:
            bands[level] += plane
        plane = coarser


def collapsed(bands: list[np.ndarray]) -> np.ndarray:
    """The plane that the bands of a Laplacian pyramid add up to; empties the list."""
    plane = bands.pop()
    while bands:
        finer = bands.pop()
        finer += cv2.pyrUp(plane, dstsize=finer.shape[::-1])
        plane = finer
    return plane
