"""Exponents of two close tokens in random MLP blocks: the table of another paper, by closed forms of the kernel."""

from particles.reduced import angle_exponent, mean_exponent
from validation.reproductions.row import Reproduction, Row
from validation.studies.shared.mlp_pairs import REPORTED

ERROR = 1e-7  # of k(1) and k'(1): Gauss-Hermite, relative


def rows(quick: bool, seed: int) -> tuple[Row, ...]:
    """lambda_1 and lambda_bar of each block."""
    found = []
    for block, printed in REPORTED.items():
        values = angle_exponent(block.kernel), mean_exponent(block.kernel)
        for name, theirs, ours in zip(("lambda_1", "lambda_bar"), printed, values, strict=True):
            text = f"{name} of {block.activation}, d = {block.d}, sigma = {block.sigma_r:g}"
            found.append(Row(text, theirs, ours, bias=ERROR * abs(ours), seen=False))
    return tuple(found)


EXPONENTS = Reproduction(
    "Exponents of random MLP blocks",
    "Agazzi, Bruno, Mosig Garcia, Saviozzi and Romito, arXiv 2604.26898",
    "nothing in print; these entries are as reported at second hand, the others are left out",
    "Closed form in k(1) and k'(1); study M1 measures the same numbers in blocks of finite width",
    rows,
)
