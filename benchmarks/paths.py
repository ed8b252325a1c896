"""Where the time of the four main paths goes, by pyinstrument:  python benchmarks/paths.py [density sphere high member]

Needs pyinstrument (in the extra `dev`).  docs/profile.md has the result and what follows from it.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from pyinstrument import Profiler

CONFIG = Path(__file__).parents[1] / "examples" / "quickstart.toml"


def shown(name, work):
    """Profile a call and print it."""
    core = time.process_time()
    with Profiler(interval=0.001) as profiler:
        work()
    print(f"\n{name}: {time.process_time() - core:.2f} core seconds, profiler included")
    print(profiler.output_text(unicode=True, color=False))


def tokens_through(law, points, layers, field):
    """Profile layers of a law after a first one, which fills the tables."""
    from particles.flow import TokenFlow, TokenState

    start = TokenState(0, points, np.full(len(points), 1 / len(points)))
    start = TokenFlow(law, field).advance(start, 1)
    return lambda: TokenFlow(law, field).advance(start, 1 + layers)


def density():
    """Sixty steps at lmax 63."""
    from tokenlaw.config import read as config
    from tokenlaw.runs.build import build

    experiment = build(config.load(CONFIG))
    start = experiment.density()
    flow = experiment.flow(start)
    state = flow.advance(flow.start(start), 5, None)
    shown("density, lmax 63, 60 steps", lambda: flow.advance(state, 65, None))


def sphere():
    """Eight layers of a million tokens on the sphere."""
    from particles import GaussianHeads, Noise, RandomTransformer, Softmax, VonMisesFisherMixture
    from spde import spectral_field

    points = VonMisesFisherMixture([1.0], [[0, 0, 1.0]], [1.0]).sample(np.random.default_rng(0), 10**6)
    law = RandomTransformer(GaussianHeads(3, 3**-0.5, 3**-0.5, 3), Softmax(2.0), 0.1, 8, Noise(7))
    shown("10^6 tokens on the sphere, 8 layers", tokens_through(law, points, 8, spectral_field(1e-6)))


def high():
    """Three layers of 2,048 tokens in dimension 768."""
    from particles import DirectField, LowRankHeads, Noise, RandomTransformer, Softmax, Uniform

    points = Uniform(768).sample(np.random.default_rng(0), 2048)
    law = RandomTransformer(LowRankHeads(768, 768**-0.5, 768**-0.5, 64), Softmax(2.0), 0.5, 12, Noise(7))
    shown("2048 tokens, d = 768, 12 heads, 3 layers", tokens_through(law, points, 3, DirectField))


def member():
    """What a worker does until its first member has moved: imports, then two members of one step each."""

    def imports():
        import distributed  # noqa: F401

        import tokenlaw.ensemble.member  # noqa: F401

    shown("imports of a worker", imports)
    from tokenlaw.ensemble import member as members

    planned, _ = members.plan(CONFIG, "solve", 2, (), ("layers.t_end=0.02",))
    with tempfile.TemporaryDirectory() as folder:
        for one in planned:
            task = members.Task("solve", one.configuration, f"{folder}/{one.number}.nc", one.number)
            shown(f"member {one.number} of a process, one step", lambda task=task: members.run_member(task))


if __name__ == "__main__":
    for name in sys.argv[1:] or ("member", "density", "sphere", "high"):  # imports first, while they are new
        globals()[name]()
