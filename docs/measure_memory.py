"""Peak memory of runs of several shapes beside its estimate:  python docs/measure_memory.py [NAME ...]

Each run is a process of its own; what the program takes before the run begins is subtracted.
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from tokenlaw.config.read import load_text
from tokenlaw.runs import run as runs
from tokenlaw.runs.build import build

BASE = """
model = {d = 3, beta = 2.0}
heads = {kind = "gaussian"}
layers = {kind = "homogenized", dt = 0.02, t_end = 0.06, nodes = 8}
initial = {kind = "uniform"}
output = {save_every = 0.02}
"""
CHAIN = 'layers={kind="transformer", eta=0.1, heads=%d, depth=3}'
RUNS: dict[str, tuple[str, list[str]]] = {
    "lmax 127": ("solve", ["solve.lmax=127"]),
    "lmax 255": ("solve", ["solve.lmax=255"]),
    "lmax 511": ("solve", ["solve.lmax=511"]),
    "lmax 1023": ("solve", ["solve.lmax=1023", "layers.t_end=0.04"]),
    "carried 500 x 1000": ("solve", ["solve.carried_nodes=[500,1000]", "solve.lmax=31"]),
    "kappa 10^4, 300 x 600": ("solve", ["initial={kind='von_mises_fisher', components=[{mean=[0,0,1], kappa=1e4}]}",
                                        "solve.carried_nodes=[300,600]"]),
    "carried 1000 x 2000": ("solve", ["solve.carried_nodes=[1000,2000]", "solve.lmax=31"]),
    "characteristics, 300 x 600": ("solve", ["solve.carried_nodes=[300,600]", "solve.characteristics=true"]),
    "10^6 tokens, d = 3": ("simulate", ["simulate.tokens=1000000"]),
    "10^7 tokens, d = 3": ("simulate", ["simulate.tokens=10000000", "layers.t_end=0.04"]),
    "10^6 tokens, d = 2": ("simulate", ["simulate.tokens=1000000", "model.d=2"]),
    "10^6 tokens, private noise": ("simulate", ["simulate.tokens=1000000", "layers.private_noise=0.1"]),
    "4096 tokens, d = 768, 4 heads": ("simulate", ["simulate.tokens=4096", "model.d=768", CHAIN % 4]),
    "4096 tokens, low rank": (
        "simulate", ["simulate.tokens=4096", "model.d=768", "heads.kind=low_rank", "heads.head_dim=64", CHAIN % 12]),
    "64 tokens, d = 1024, 16 heads": ("simulate", ["simulate.tokens=64", "model.d=1024", CHAIN % 16]),
    "64 tokens, d = 4096, 1 head": ("simulate", ["simulate.tokens=64", "model.d=4096", CHAIN % 1]),
    "2000 nodes, d = 64": ("simulate", ["simulate.tokens=64", "model.d=64", "layers.nodes=2000"]),
    "smooth, 50 modes": (
        "simulate", ["simulate.tokens=64", "model.d=64", "heads.kind=smooth", "heads.modes=50", CHAIN % 16]),
    "limit field, 2048 tokens": ("simulate", ["simulate.tokens=2048", "model.d=5", "layers.mlp={}"]),
    "sinkhorn, 4000 tokens": ("simulate", ["simulate.tokens=4000", "model.attention=sinkhorn", "layers.nodes=2"]),
    "compare, 2000 tokens": ("compare", ["simulate.tokens=2000", "output.distances=2"]),
    "compare, 4000 tokens": ("compare", ["simulate.tokens=4000", "output.distances=2", "layers.t_end=0.02"]),
    "compare, 300000 tokens": ("compare", ["simulate.tokens=300000", "output.distances=2", "layers.t_end=0.04"]),
    "500,000 tokens, 30 records": ("simulate", ["simulate.tokens=500000", "layers.t_end=0.58", "layers.nodes=2"]),
    "100,000 tokens, 100 records": ("simulate", ["simulate.tokens=100000", "layers.t_end=1.98", "layers.nodes=2"]),
    "6 tokens, 3,000 records": ("simulate", ["simulate.tokens=6", "layers.t_end=59.98", "layers.nodes=2"]),
    "lmax 255, 60 records": ("solve", ["solve.lmax=255", "layers.t_end=1.18", "layers.nodes=2"]),
    "compare, 100,000 tokens, 40 records": (
        "compare", ["simulate.tokens=100000", "output.distances=2", "layers.t_end=0.78", "layers.nodes=2"]),
    "recorded, 300 layers": (
        "record", ["model.d=64", "simulate.tokens=16", 'layers={kind="transformer", eta=0.1, heads=16, depth=300}']),
}  # fmt: skip


def child(name: str) -> None:
    """Run one shape and print estimate, memory at the start and peak, in bytes."""
    import resource

    def peak() -> int:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    command, overrides = RUNS[name]
    c = load_text(BASE, overrides)
    layers = None
    with tempfile.TemporaryDirectory() as folder:
        warm = build(load_text(BASE, ["solve.lmax=12", "simulate.tokens=10"]))
        runs.execute("compare", warm, Path(folder) / "warm.nc")
        before = peak()
        experiment = build(c)
        if command == "record":
            command, layers = "simulate", Path(folder) / "layers.nc"
        found = runs.needs(command, experiment, layers)
        runs.execute(command, experiment, Path(folder) / "f.nc", layers=layers)
    print(json.dumps([sum(term.need for term in found), before, peak()]))


def main() -> None:
    """Print the table."""
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
        return
    print(f"| {'run':32s} | estimate | measured | ratio |\n|---|---|---|---|")
    for name in sys.argv[1:] or RUNS:
        done = subprocess.run([sys.executable, __file__, "--child", name], capture_output=True, text=True)
        if done.returncode:
            print(f"| {name:32s} | {done.stderr.splitlines()[-1][:100]}")
            continue
        estimate, before, peak = json.loads(done.stdout.splitlines()[-1])
        print(f"| {name:32s} | {estimate / 2**20:6.0f} MiB | {(peak - before) / 2**20:6.0f} MiB | "
              f"{estimate / max(peak - before, 1):5.2f} |", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
