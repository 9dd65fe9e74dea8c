"""What to write: path -> text (Program -> Tree). Jinja is used here and nowhere else."""

from opgen.render.render import render
from opgen.render.tree import Tree

__all__ = ["Tree", "render"]
