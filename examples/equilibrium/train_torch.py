"""Train a layer in equilibrium to tell two spirals apart, with PyTorch: the twin of train_keras.py."""

import sys
from pathlib import Path

import torch
from spirals import NORM, STATES, spirals, weights
from torch import nn

import opgen

equilibrium = opgen.load(Path(__file__).with_name("equilibrium.py"))


class Equilibrium(nn.Module):
    """The states that a layer settles in; it owns W, U and b."""

    def __init__(self) -> None:
        super().__init__()
        self.W, self.U, self.b = (nn.Parameter(torch.tensor(w, dtype=torch.float32)) for w in weights())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return equilibrium(x, self.W, self.U, self.b)


def main() -> float:
    torch.manual_seed(1)
    x, label = (torch.tensor(a, dtype=torch.float32) for a in spirals())
    model = nn.Sequential(Equilibrium(), nn.Linear(STATES, 1), nn.Flatten(0))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    losses = []
    for _ in range(40):
        total = 0.0
        for some in torch.randperm(len(x)).split(64):
            optimizer.zero_grad()
            loss = nn.functional.binary_cross_entropy_with_logits(model(x[some]), label[some])
            loss.backward()
            optimizer.step()
            with torch.no_grad():
                W = model[0].W
                W *= min(1.0, NORM / float(torch.linalg.matrix_norm(W, 2)))
            total += float(loss.detach()) * len(some) / len(x)
        losses.append(total)
    test, truth = (torch.tensor(a, dtype=torch.float32) for a in spirals(1000, seed=1))
    with torch.no_grad():
        right = float(((model(test) > 0) == truth).double().mean())
    print(f"loss {losses[0]:.3f} -> {losses[-1]:.3f}; {100 * right:.1f} % of new points told apart")
    return losses[-1] / losses[0] if right > 0.95 else 1.0


if __name__ == "__main__":
    sys.exit(main() > 0.1)
