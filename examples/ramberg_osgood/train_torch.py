"""Find the yield stress along a bar from measured stresses, with PyTorch: the twin of train_keras.py."""

import sys
from pathlib import Path

import numpy as np
import torch
from data import POINTS, YIELD, E, N, strains

import opgen

ramberg_osgood = opgen.load(Path(__file__).with_name("ramberg_osgood.py"))


def main() -> float:
    torch.manual_seed(1)
    strain = torch.tensor(strains())
    stress = ramberg_osgood(strain, E, torch.tensor(YIELD), N)
    log_yield = torch.nn.Parameter(torch.full((POINTS,), float(np.log(0.4)), dtype=torch.float64))
    optimizer = torch.optim.LBFGS([log_yield], lr=1.0, max_iter=60, line_search_fn="strong_wolfe", tolerance_grad=1e-14)
    losses = []

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = torch.mean((ramberg_osgood(strain, E, torch.exp(log_yield), N) - stress) ** 2)
        loss.backward()
        losses.append(float(loss.detach()))
        return loss

    for _ in range(3):
        optimizer.step(closure)
    error = float(np.abs(torch.exp(log_yield).detach().numpy() / YIELD - 1).max())
    print(f"loss {losses[0]:.2e} -> {losses[-1]:.2e} in {len(losses)} steps; yield stress found to {100 * error:.2g} %")
    return error


if __name__ == "__main__":
    sys.exit(main() > 0.01)
