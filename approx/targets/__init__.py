"""What to approximate: expressions parsed by an own grammar, their values, balls, Taylor jets and rigorous bounds."""

from approx.targets.callables import CallableTarget
from approx.targets.cover import Cover, taylor_cover
from approx.targets.domain import Domain, make_domain
from approx.targets.parser import parse
from approx.targets.polygon import PolygonTarget
from approx.targets.regularity import Regularity
from approx.targets.target import Target

__all__ = ["CallableTarget", "Cover", "Domain", "PolygonTarget", "Regularity", "Target", "make_domain", "parse", "taylor_cover"]
