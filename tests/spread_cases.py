"""Random laws and layers for moments: narrow and wide, single and mixed, spreading and collapsing; dense references.

The references share no code with the package: each component has a product rule of its own (Gauss-Legendre in the
cosine over the range where its mass is, equidistant around its axis), moved by direct sums.
"""

from dataclasses import dataclass

import dense
import numpy as np

N_LAYERS = 30
BLOCK = 256  # points at once in direct sums


@dataclass
class Case:
    """Components (weights, means, kappas), and layers x -> nrm(x + mixing m_beta(x)) of one head each."""

    weights: np.ndarray
    means: np.ndarray
    kappas: np.ndarray
    beta: float
    mixing: np.ndarray
    forms: np.ndarray


def case(seed):
    """Concentrations 0.1 ... 500, one to three components, beta |A| 2 ... 15, heads fixed or new in each layer."""
    rng = np.random.default_rng([seed, 60])
    n = int(rng.integers(1, 4))
    kappas = 10 ** rng.uniform(-1, np.log10(500), n)
    means = rng.standard_normal((n, 3))
    weights = rng.uniform(0.2, 1.0, n)
    draws = N_LAYERS if rng.random() < 0.3 else 1
    sign = 1.0 if rng.random() < 0.5 else -1.0
    mixing = 0.1 * (sign * np.eye(3) + 0.3 * rng.standard_normal((draws, 1, 3, 3)))
    forms = np.eye(3) + 0.4 * rng.standard_normal((draws, 1, 3, 3))
    beta = float(10 ** rng.uniform(np.log10(2), np.log10(15)))
    forms /= np.linalg.norm(forms, 2, axis=(2, 3))[..., None, None]
    spread = [np.repeat(a, N_LAYERS // draws, axis=0) for a in (mixing, forms)]
    return Case(weights / weights.sum(), means / np.linalg.norm(means, axis=1)[:, None], kappas, beta, *spread)


def component(mean, kappa, n):
    """Nodes (2 n^2, 3) and weights of sum 1 of one von Mises-Fisher law."""
    reach = min(2.0, 45 / kappa)
    t, w = np.polynomial.legendre.leggauss(n)
    depth = reach * (t + 1) / 2
    w = w * np.exp(-kappa * depth)
    phi = np.pi * np.arange(2 * n) / n
    across = np.sqrt(depth * (2 - depth))
    local = [np.outer(across, np.cos(phi)), np.outer(across, np.sin(phi)), np.outer(1 - depth, np.ones(2 * n))]
    one = dense.nrm(np.cross(mean, np.eye(3)[np.argmin(np.abs(mean))]))
    frame = np.stack([one, np.cross(mean, one), mean], axis=1)
    return np.reshape(local, (3, -1)).T @ frame.T, np.repeat(w / w.sum() / (2 * n), 2 * n)


def reference(one, n):
    """Moments (layers + 1, 9) of dense nodes, n latitudes for each component."""
    parts = [component(m, k, n) for m, k in zip(one.means, one.kappas, strict=True)]
    x = np.concatenate([part[0] for part in parts])
    w = np.concatenate([share * part[1] for share, part in zip(one.weights, parts, strict=True)])
    x, w = x[w > 1e-14 * w.max()], w[w > 1e-14 * w.max()]
    found = [dense.moments(x, w)]
    for mixing, form in zip(one.mixing, one.forms, strict=True):
        blocks = [dense.velocity(x[k : k + BLOCK], x, w, one.beta, mixing, form) for k in range(0, len(x), BLOCK)]
        x = dense.nrm(x + np.concatenate(blocks))
        found.append(dense.moments(x, w))
    return np.array(found)


def converged(one, tol=3e-7, most=100):
    """A reference that a finer one confirms to `tol`, and by how much they differ; None where none did."""
    n = 28
    before = reference(one, n)
    while n < most:
        n = round(1.3 * n)
        now = reference(one, n)
        if (gap := float(np.abs(now - before).max())) < tol:
            return now, gap
        before = now
    return None, gap
