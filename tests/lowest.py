"""The lowest versions that pyproject.toml allows, as constraints for pip: `make lowest` tests with them."""

import re
import tomllib
from pathlib import Path

project = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
for requirement in [*project["dependencies"], *project["optional-dependencies"]["test"]]:
    bound = re.match(r"([\w-]+)(?:\[[\w,]+\])?>=([\w.]+)", requirement)
    if bound:
        print("{}=={}".format(*bound.groups()))
