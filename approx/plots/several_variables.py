"""How are a target and its error drawn in two variables (or on a slice of more)? As maps, with the witness marked."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from approx.numbers import to_float
from approx.plots import style
from approx.plots.sampling import grid_values

if TYPE_CHECKING:
    from approx.approximant import Approximant


def plot_maps(approximant: Approximant, axes: Any) -> None:
    """Draw the target and the sampled error f - net on two axes, in two variables or on the slice through the witness.

    The error's colours run from -upper to +upper of the certificate, so that full colour means the certified bound.
    """
    target = approximant.target
    fixed = _witness(approximant)
    x, y, f, error = grid_values(approximant.network, target, fixed)
    extent = target.domain.floats()[:2].ravel()
    shared = {"origin": "lower", "extent": extent, "aspect": _aspect(extent), "interpolation": "nearest"}
    surface = axes[0].imshow(f, cmap="cividis", **shared)
    _contours(axes[0], x, y, f)
    _bar(axes[0], surface)
    axes[0].set_title("target", fontsize=11, pad=10)
    certificate = approximant.certificate
    reach = (
        certificate.upper if certificate is not None and math.isfinite(certificate.upper) else np.nanmax(np.abs(error))
    )
    reach = float(reach) or 1.0
    heat = axes[1].imshow(error, cmap="PuOr_r", vmin=-reach, vmax=reach, **shared)
    bar = _bar(axes[1], heat)
    style.scientific(bar.ax.yaxis)
    axes[1].set_title(f"error  target − network  (sampled {len(x)} × {len(y)})", fontsize=11, pad=10)
    if certificate is not None and certificate.lower > 0:
        # Black on a white ring, so that it is seen on every colour.
        ring = {"linestyle": "none", "marker": "o", "markerfacecolor": "none", "markersize": 9, "clip_on": False}
        axes[1].plot(*fixed[:2], **ring, markeredgecolor="white", markeredgewidth=4)
        axes[1].plot(
            *fixed[:2], **ring, markeredgecolor="black", markeredgewidth=1.6, label="witness of the lower bound"
        )
    for ax in axes:
        ax.set_xlabel("x")
        ax.set_ylabel("y", rotation=0)
        ax.locator_params(nbins=5)


def slice_text(approximant: Approximant) -> str:
    """Return how the picture cuts a target of more than two variables, e.g. 'slice z = 0.5', or ''."""
    d = approximant.target.dimension
    if d <= 2:
        return ""
    names = ["z"] if d == 3 else [f"x{i}" for i in range(3, d + 1)]
    fixed = _witness(approximant)[2:]
    return "slice " + ", ".join(f"{n} = {v:.4g}" for n, v in zip(names, fixed, strict=True))


def _aspect(extent: np.ndarray) -> str:
    """Equal scales unless one side is so much longer that its map would be a thread."""
    ratio = (extent[1] - extent[0]) / (extent[3] - extent[2])
    return "equal" if 1 / 3 <= ratio <= 3 else "auto"


def _witness(approximant: Approximant) -> np.ndarray:
    """The witness as float64, or the middle of the domain where there is no certificate."""
    certificate = approximant.certificate
    if certificate is None:
        return approximant.target.domain.floats().mean(axis=1)
    return np.array([to_float(c) for c in certificate.witness])


def _bar(ax: Any, image: Any) -> Any:
    """A colour bar exactly as high as its map."""
    return ax.figure.colorbar(image, cax=ax.inset_axes((1.03, 0.0, 0.05, 1.0)))


def _contours(ax: Any, x: np.ndarray, y: np.ndarray, f: np.ndarray) -> None:
    if np.isfinite(f).all() and np.ptp(f) > 0:
        ax.contour(x, y, f, levels=9, colors="white", linewidths=0.6, alpha=0.7)
