"""How large |f - net| can be on intervals where the network is almost affine and f'' has a known range.

Statement. On [xl, xr] of width w let the chord of the network's values leave d_l = f(xl) - v_l and d_r = f(xr) - v_r, and
let m <= f'' <= M. With t = (x - xl)/w, f - chord = d_l (1-t) + d_r t - c t (1-t) for some c = c(x) in [m w^2/2, M w^2/2]
(the error of linear interpolation). The right side decreases in c, so its maximum over t is that of the parabola with
c = m w^2/2 and its minimum that of the parabola with c = M w^2/2; both are closed forms. Tight to O(w^3), no sampling.
"""

from __future__ import annotations

import numpy as np

#: Relative allowance for the rounding of the few float64 operations below.
_SLACK = 2.0**-46


def chord_bound(
    left: np.ndarray, right: np.ndarray, width: np.ndarray, second: tuple[np.ndarray, np.ndarray]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(upper bound of sup |f - chord|, fraction t where the larger side is attained for the mean f'', estimate there)."""
    half = 0.5 * width * width
    with np.errstate(all="ignore"):
        low, high = second[0] * half, second[1] * half
        upper = np.maximum(_parabola_maximum(left, right, low), _parabola_maximum(-left, -right, -high))
        upper = upper + _SLACK * (np.abs(left) + np.abs(right) + np.abs(low) + np.abs(high))
        mean = 0.5 * (low + high)
        t_up, t_down = _vertex(left, right, mean), _vertex(-left, -right, -mean)
        h_up, h_down = _parabola(left, right, mean, t_up), -_parabola(left, right, mean, t_down)
        fraction = np.where(h_up >= h_down, t_up, t_down)
        estimate = np.maximum(h_up, h_down)
    return np.where(np.isnan(upper), np.inf, upper), fraction, np.where(np.isnan(estimate), 0.0, estimate)


def _parabola(left: np.ndarray, right: np.ndarray, c: np.ndarray, t: np.ndarray) -> np.ndarray:
    return left * (1 - t) + right * t - c * t * (1 - t)


def _vertex(left: np.ndarray, right: np.ndarray, c: np.ndarray) -> np.ndarray:
    """Where in [0, 1] the parabola is largest."""
    inside = np.clip(0.5 - 0.5 * (right - left) / np.where(c < 0, c, -1.0), 0.0, 1.0)
    return np.where(c < 0, inside, np.where(right > left, 1.0, 0.0))


def _parabola_maximum(left: np.ndarray, right: np.ndarray, c: np.ndarray) -> np.ndarray:
    # The exact vertex gives the maximum; near it the parabola is flat, so a rounded vertex errs by O(rounding^2 * c).
    t = _vertex(left, right, c)
    value = _parabola(left, right, c, t)
    return np.maximum(np.maximum(left, right), value)
