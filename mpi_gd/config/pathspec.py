"""Which strengths a path has: the keys of the table [path]."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["PathSpec"]

_MOST_VALUES = 10_000


@dataclass(frozen=True)
class PathSpec:
    """The strengths of penalty.alpha = "path"; the fields are the keys of the table [path]."""

    n_alphas: int = 100
    """Strengths, from the least at which all coefficients are 0 down, in equal ratios."""

    eps: float = 1e-3
    """The last strength, as a share of the first."""

    early_stop: bool = True
    """Whether the path ends, after 5 strengths or more, where 99.9 % of the deviance are explained,
    or the last strength has added less than 0.001 % to what is."""

    max_nonzero: int = 0
    """The path ends with the first model that has more coefficients than that; 0: no limit."""

    def __post_init__(self) -> None:
        if not 2 <= self.n_alphas <= _MOST_VALUES:
            raise ValueError(f"n_alphas must be from 2 to {_MOST_VALUES}, got {self.n_alphas}")
        if not 0 < self.eps < 1:
            raise ValueError(f"eps must be in (0, 1), got {self.eps}")
        if self.max_nonzero < 0:
            raise ValueError(f"max_nonzero must be 0 or more, got {self.max_nonzero}")
