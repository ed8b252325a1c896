"""The exact chain against the library's own fresh networks, by layer:  python -m tests.networks_library [--quick]

`make networks` installs torch and transformers in an environment of their own and runs it.  For seven families, at the
library's usual deviation of the matrices and at a larger one, networks are initialised by the library, run on the same
words or pixels, and looked at between their blocks (`tokenlaw.observe`); beside them stands the chain of
`network_of(config)` from `embeddings_of(config, words)`.  Means by layer must agree within three standard errors or
0.01.  Results: tests/data/networks_library.json; `--table` prints them in Markdown.
"""

import argparse
import json
import platform
import time
from dataclasses import dataclass
from datetime import date
from importlib import metadata
from pathlib import Path

import numpy as np

from particles.networks import embeddings_of, network_of
from tokenlaw.observe.blocks import look
from tokenlaw.observe.door import networks
from tokenlaw.observe.model import Model, seed_of
from tokenlaw.observe.numbers import of_tokens

RESULTS = Path(__file__).parent / "data" / "networks_library.json"
SHOWN = ("overlap", "log_gradient", "log_radius", "log_gap", "attention_entropy", "score_std")
HELD = ("overlap", "log_gradient")
ERRORS, CLOSE = 3.0, 0.01
USUAL = {"hidden_size": 256, "num_attention_heads": 8, "num_hidden_layers": 10, "intermediate_size": 1024}
GATED = USUAL | {"intermediate_size": 688, "num_key_value_heads": 4}


@dataclass(frozen=True)
class Family:
    """A configuration of the library: its class, its keys, number of tokens, and a deviation larger than usual."""

    name: str
    cls: str
    keys: dict
    tokens: int = 96
    larger: float = 0.06


FAMILIES = (
    Family("GPT-2", "GPT2Config", {"n_embd": 256, "n_head": 8, "n_layer": 12, "n_positions": 128}, 128, 0.1),
    Family("LLaMA", "LlamaConfig", GATED),
    Family("Qwen2", "Qwen2Config", GATED | {"num_hidden_layers": 8}, 128),
    Family("Mistral", "MistralConfig", GATED | {"num_key_value_heads": 2, "num_hidden_layers": 12}, 64),
    Family("BERT", "BertConfig", USUAL | {"hidden_size": 384, "num_hidden_layers": 8}, 96, 0.05),
    Family("RoBERTa", "RobertaConfig", USUAL, 64),
    Family("ViT", "ViTConfig", USUAL | {"image_size": 32, "patch_size": 4}, 65),
)


def of_library(config, given, seeds):
    """Fresh networks of the library: name -> (seed, layer)."""
    found = []
    with networks() as (torch, library):
        config.use_cache = False
        model = Model(Path("."), config, config.to_dict(), torch, library)
        arguments = {
            "pixel_values" if given.ndim == 3 else "input_ids":
            torch.tensor(given, dtype=torch.float32 if given.ndim == 3 else torch.int64)[None]
        }  # fmt: skip
        for k in range(seeds):
            seen = look(model, model.fresh(seed_of(k)), arguments, k, directions=1)
            each = [of_tokens(tokens) for tokens in seen.tokens]
            names = ("overlap", "log_gap", "radius")
            one = {name: np.array([float(numbers[name]) for numbers in each]) for name in names}
            attention = np.concatenate([np.full((1, 3), np.nan), seen.attention])
            found.append({
                "overlap": one["overlap"], "log_gradient": np.log(seen.gradient), "log_gap": one["log_gap"],
                "log_radius": np.log(one["radius"] / np.sqrt(seen.tokens.shape[2])),
                "score_std": attention[:, 0], "attention_entropy": attention[:, 1],
            })  # fmt: skip
    return {name: np.stack([one[name] for one in found]) for name in SHOWN}


def of_chain(config, given, n_networks, seed=0):
    """The chain: name -> (network, layer)."""
    found = network_of(config, len(given) if given.ndim == 1 else None).chain(
        embeddings_of(config, given), n_networks=n_networks, seed=seed, gradients=True
    )
    return {
        "overlap": found.overlap.values, "log_gradient": np.log(found.gradient.values),
        "log_gap": found.log_gap.values, "log_radius": np.log(found.radius.values),
        "score_std": found.score_std.values, "attention_entropy": found.entropy.values,
    }  # fmt: skip


def compared(library, chain):
    """Means, standard error of their difference, and whether they agree, by layer."""
    rows = {}
    for name in SHOWN:
        a, b = library[name], chain[name]
        error = np.sqrt(a.var(axis=0, ddof=1) / len(a) + b.var(axis=0, ddof=1) / len(b))
        apart = np.abs(a.mean(axis=0) - b.mean(axis=0))
        known = np.isfinite(apart)
        agree = bool(np.all((apart <= ERRORS * error) | (apart <= CLOSE) | ~known))
        columns = {"library": a.mean(axis=0), "chain": b.mean(axis=0), "error": error}
        rows[name] = {key: [round(float(v), 6) if np.isfinite(v) else None for v in x] for key, x in columns.items()}
        rows[name] |= {"agree": agree, "largest_difference": round(float(apart[known].max()), 5)}
        big = known & (error > 0)
        rows[name]["largest_in_errors"] = round(float((apart[big] / error[big]).max(initial=0)), 2)
    return rows


def measure(seeds, n_networks):
    """Run all families; a row for each and each deviation."""
    import transformers

    rows = []
    for number, family in enumerate(FAMILIES):
        for std in (0.02, family.larger):
            rng = np.random.default_rng((number, 1))
            image = family.name == "ViT"
            given = rng.standard_normal((3, 32, 32)) if image else 10 + rng.permutation(400)[: family.tokens]
            more = {} if image else {"vocab_size": 500, "bos_token_id": 0, "eos_token_id": 2}
            config = getattr(transformers, family.cls)(**family.keys, **more, initializer_range=std)
            begin = time.perf_counter()
            library = of_library(config, given, seeds)
            middle = time.perf_counter()
            chain = of_chain(config, given, n_networks)
            seconds = [round(middle - begin, 1), round(time.perf_counter() - middle, 1)]
            n = int(given.size) if not image else family.tokens
            d, layers = config.hidden_size, config.num_hidden_layers
            row = {"family": family.name, "initializer_range": std, "d": d, "layers": layers, "tokens": n,
                   "seconds": seconds, **compared(library, chain)}  # fmt: skip
            print(line(row), flush=True)
            rows.append(row)
    return rows


def line(row):
    """A row of the table."""
    cells = [row["family"], f"{row['initializer_range']:g}", f"{row['d']}, {row['layers']}, {row['tokens']}"]
    for name in HELD:
        at = -1 if name == "overlap" else 0
        one = row[name]
        cells += [f"{one['library'][at]:.4f}", f"{one['chain'][at]:.4f}", f"{one['error'][at]:.4f}"]
        cells += [f"{one['largest_difference']:.4f} ({one['largest_in_errors']:.1f})"]
    return f"| {' | '.join(cells)} |"


def table(found):
    """The results in Markdown."""
    head = ["family", "std", "d, layers, tokens"]
    for what in ("overlap at the end", "log gradient at the start"):
        head += [f"{what}: library", "chain", "error", "largest difference (errors)"]
    return "\n".join([f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *map(line, found["rows"])])


def main():
    """Measure and write, or print the table of what was written."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--quick", action="store_true", help="few networks, nothing written")
    parser.add_argument("--table", action="store_true", help="print the results in Markdown and end")
    asked = parser.parse_args()
    if asked.table:
        print(table(json.loads(RESULTS.read_text())))
        return
    seeds, n_networks = (4, 4) if asked.quick else (64, 64)
    rows = measure(seeds, n_networks)
    versions = {name: metadata.version(name) for name in ("tokenlaw", "numpy", "scipy", "torch", "transformers")}
    found = {
        "date": date.today().isoformat(), "python": platform.python_version(), "versions": versions,
        "library_networks": seeds, "chain_networks": n_networks, "seeds": f"library 0 to {seeds - 1}, chain 0",
        "agree_means": f"within {ERRORS:g} standard errors or {CLOSE:g}, at every layer", "rows": rows,
    }  # fmt: skip
    if not asked.quick:
        RESULTS.write_text(json.dumps(found, indent=1) + "\n")
    apart = [f"{row['family']} {row['initializer_range']} {name}" for row in rows for name in HELD
             if not row[name]["agree"]]  # fmt: skip
    if apart and not asked.quick:
        raise SystemExit("chain and library differ: " + ", ".join(apart))


if __name__ == "__main__":
    main()
