"""Run the program in a process that has never heard of opgen: python run_torch.py LIBRARY PROGRAM.pt2."""

import sys

import torch

library, program = sys.argv[1:]
torch.ops.load_library(library)  # before the program: it brings the operators that the graph names
distance = torch.export.load(program).module()
r, slope = distance(torch.tensor([0.5, 1.0, 2.0], dtype=torch.float64), torch.tensor(0.3, dtype=torch.float64))
print("r   ", *(f"{value:.12f}" for value in r))
print("by e", f"{slope:.12f}")
assert not {"opgen", "tensorflow", "generated"} & sys.modules.keys()
