"""Other people's numbers reproduced: theirs as printed, ours with its error, and whether they are the same."""

from validation.reproductions import networks
from validation.reproductions.exponents import EXPONENTS
from validation.reproductions.metastability import METASTABILITY
from validation.reproductions.phase_diagram import PHASE_DIAGRAM
from validation.reproductions.random_energy import RANDOM_ENERGY
from validation.reproductions.row import Reproduction, Row
from validation.reproductions.softmax_moments import SOFTMAX
from validation.reproductions.transitions import ATTENTION, KURAMOTO, MAIER_SAUPE, ONSAGER

REPRODUCTIONS = {
    "maier-saupe": MAIER_SAUPE,
    "kuramoto": KURAMOTO,
    "onsager": ONSAGER,
    "noisy-attention": ATTENTION,
    "metastability": METASTABILITY,
    "phase-diagram": PHASE_DIAGRAM,
    "softmax": SOFTMAX,
    "random-energy": RANDOM_ENERGY,
    "exponents": EXPONENTS,
}
"""Groups of outside numbers by name."""

__all__ = ["REPRODUCTIONS", "Reproduction", "Row", "networks"]
