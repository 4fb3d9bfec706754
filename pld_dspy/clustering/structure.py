"""What clustering finds where there is nothing to find."""

import numpy as np

from pld_dspy.clustering.points import Points, unit


def cloud_like(points: Points, seed: int) -> Points:
    """As many points from a Gaussian with the same covariance: a cloud without groups.

    Comparing with such a cloud is the idea of the gap statistic: Tibshirani, Walther & Hastie, 2001.
    """
    rng = np.random.default_rng(seed)
    centred = points.vectors - points.vectors.mean(axis=0)
    vectors = unit(rng.standard_normal((len(points), len(points)), dtype=np.float32) @ centred)
    return Points(vectors, np.ones_like(points.weights), np.arange(len(vectors)))
