"""First stage: a file or a text becomes Specs, which hold what the user said, checked, with nothing derived."""

from opgen.loading.file import load_file
from opgen.loading.objects import load_object
from opgen.loading.spec import Loaded, Source, Spec
from opgen.loading.text import load_text

__all__ = ["Loaded", "Source", "Spec", "load_file", "load_object", "load_text"]
