"""How fast something grows: a straight line through samples, and how sure it is."""

import math
from collections.abc import Sequence
from statistics import linear_regression

Sample = tuple[float, float]
"""A time and a value."""


def slope(samples: Sequence[Sample]) -> tuple[float, float]:
    """By least squares, with its standard error; of at least three samples at different times."""
    times, values = zip(*samples, strict=True)
    line = linear_regression(times, values)
    residues = sum((y - line.slope * x - line.intercept) ** 2 for x, y in samples)
    mean = sum(times) / len(times)
    spread = sum((x - mean) ** 2 for x in times)
    return line.slope, math.sqrt(residues / (len(samples) - 2) / spread)
