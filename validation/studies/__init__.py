"""Published claims, one a module: its CLAIM, and the study that decides, study(quick, seed) -> Findings."""
