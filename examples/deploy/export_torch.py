"""Export an orbit and its gradient: python export_torch.py PROGRAM.pt2, where `generated` can be imported."""

import sys

import torch
from torch.fx.experimental.proxy_tensor import make_fx

from generated.kepler import kepler


def distance(M: torch.Tensor, e: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute the distance of a planet, and what the sum of all changes by with the eccentricity."""
    slope, r = torch.func.grad(lambda e: ((r := kepler(M, e).r).sum(), r), has_aux=True)(e)
    return r, slope


example = (torch.linspace(0.5, 3.0, 4, dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
# torch.export does not follow a gradient: make_fx writes its operations out first.
traced = make_fx(distance, tracing_mode="symbolic")(*example)
sizes = ({0: torch.export.Dim("points", min=2)}, None)
torch.export.save(torch.export.export(traced, example, dynamic_shapes=sizes), sys.argv[1])
