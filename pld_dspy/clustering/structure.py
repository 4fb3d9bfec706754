"""What clustering finds where there is nothing to find."""

import numpy as np

from pld_dspy.clustering.points import Points, unit


def cloud_like(points: Points, seed: int) -> Points:
    """As many points from a Gaussian with the same covariance: a cloud without groups.

    Comparing with such a cloud is the idea of the gap statistic: Tibshirani, Walther & Hastie, 2001.
    """
    rng = np.random.default_rng(seed)
    covariance = np.cov(points.vectors, rowvar=False, dtype=np.float64)
    values, directions = np.linalg.eigh(np.atleast_2d(covariance))
    spread = (directions * np.sqrt(np.maximum(values, 0))).T.astype(np.float32)
    vectors = unit(rng.standard_normal(points.vectors.shape, dtype=np.float32) @ spread)
    return Points(vectors, np.ones_like(points.weights), np.arange(len(vectors)))
