"""Find the width of interfaces from how a pattern looks twenty steps later, with PyTorch.

Every step solves for the next state, and the gradient of the misfit goes back through all twenty solves.
"""

import math
import sys
from pathlib import Path

import torch

import opgen

allen_cahn = opgen.load(Path(__file__).with_name("allen_cahn.py"))

POINTS, RUNS, STEPS, DT = 128, 4, 20, 0.2
H = 1 / POINTS
WIDTH, NOISE = 0.03, 0.02


def later(u: torch.Tensor, width: torch.Tensor) -> torch.Tensor:
    """Take all steps; each starts its iteration at the state before."""
    for _ in range(STEPS):
        u = allen_cahn(u, width, H, DT, initial=u)
    return u


def main() -> float:
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    start = 0.3 * torch.randn(RUNS, POINTS)
    data = later(start, torch.tensor(WIDTH))
    data = data + NOISE * torch.randn(RUNS, POINTS)

    log_width = torch.nn.Parameter(torch.tensor(math.log(0.1)))
    optimizer = torch.optim.LBFGS([log_width], max_iter=30, line_search_fn="strong_wolfe", tolerance_grad=1e-9)
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.mean((later(start, torch.exp(log_width)) - data) ** 2)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    optimizer.step(closure)
    found = math.exp(log_width.item())
    print(f"loss {losses[0]:.2e} -> {losses[-1]:.2e} in {len(losses)} evaluations; noise alone {NOISE**2:.2e}")
    print(f"width {found:.5f}, true {WIDTH}")

    # The gradient for the width and for every entry of the first state, along one direction, against differences.
    direction, step = torch.randn(RUNS, POINTS), 1e-6
    state, width = start.clone().requires_grad_(), torch.tensor(found, requires_grad=True)
    torch.mean((later(state, width) - data) ** 2).backward()
    slope = float(torch.sum(state.grad * direction) + width.grad * found)
    moved = (later(start + s * direction, torch.tensor(found * (1 + s))) for s in (step, -step))
    above, below = (float(torch.mean((u - data) ** 2)) for u in moved)
    difference = (above - below) / (2 * step)
    print(f"slope of the loss through {STEPS} steps {slope:.9e}, by differences {difference:.9e}")
    if abs(slope / difference - 1) > 1e-5:
        return math.inf
    return abs(found / WIDTH - 1)


if __name__ == "__main__":
    sys.exit(main() > 0.01)
