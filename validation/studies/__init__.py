"""One study a claim: study(quick, seed) -> Findings."""
