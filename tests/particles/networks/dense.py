"""Transformers at initialisation with all weight matrices written out: what the chain of Gram matrices is judged by.

Plain numpy, and nothing from the package.  Arrays are (networks, d, n): several networks at once, a column a token.
Every part returns its value and a function that takes the gradient of a loss by the value to the one by the input.
`error` makes one deliberate mistake, for tests that show that it would be seen:
a matrix's name (its entries times sqrt 2), "mask strict" (j < i), "mask ahead" (j <= i + 1), "keys unrotated",
"norm backward" (the gradient passes the normalisation as a constant factor), "no epsilon" (in the norms).
"""

import math
from dataclasses import dataclass, field

import numpy as np
from scipy.special import entr, erf

MATRICES = ("query", "key", "value", "output", "up", "gate", "down")
QUANTILES, BATCH = (0.05, 0.5, 0.95), 25  # of cosines; networks at once


def sigmoid(z):
    return 0.5 * (1 + np.tanh(0.5 * z))


def bell(z):
    return np.exp(-0.5 * z * z) / math.sqrt(2 * math.pi)


def cumulative(z):
    return 0.5 * (1 + erf(z / math.sqrt(2)))


ACT = {
    "relu": lambda z: z * (z > 0),
    "erf": erf,
    "tanh": np.tanh,
    "sigmoid": sigmoid,
    "silu": lambda z: z * sigmoid(z),
    "gelu": lambda z: z * cumulative(z),
    "linear": lambda z: z,
}
SLOPE = {
    "relu": lambda z: 1.0 * (z > 0),
    "erf": lambda z: 2 / math.sqrt(math.pi) * np.exp(-z * z),
    "tanh": lambda z: 1 - np.tanh(z) ** 2,
    "sigmoid": lambda z: sigmoid(z) * sigmoid(-z),
    "silu": lambda z: sigmoid(z) + z * sigmoid(z) * sigmoid(-z),
    "gelu": lambda z: cumulative(z) + z * bell(z),
    "linear": lambda z: np.ones_like(z),
}


def turned(a):
    """The transposed matrices of a stack."""
    return np.swapaxes(a, -1, -2)


def normed(x, centred=False, constant=False, eps=0.0):
    """Columns c/sqrt(mean c^2 + eps), c less their mean if centred; constant: the mistake in the gradient."""
    rows = x.shape[-2]
    c = x - x.mean(axis=-2, keepdims=True) if centred else x
    length = np.sqrt((c * c).sum(axis=-2, keepdims=True) + rows * eps)
    unit = c / length

    def back(g):
        if constant:
            return math.sqrt(rows) / length * g
        if centred:
            g = g - g.mean(axis=-2, keepdims=True)
        return math.sqrt(rows) / length * (g - unit * (unit * g).sum(axis=-2, keepdims=True))

    return math.sqrt(rows) * unit, back


def rotated(x, base, share, sign=1):
    """Pairs (j, j + r/2) of the first r = share * rows coordinates of column i turned by i base^(-2j/r)."""
    half = round(share * x.shape[-2]) // 2
    out = np.array(x)
    for j in range(half):
        angle = sign * np.arange(x.shape[-1]) * base ** (-j / half)
        one, two = x[..., j, :], x[..., j + half, :]
        out[..., j, :] = np.cos(angle) * one - np.sin(angle) * two
        out[..., j + half, :] = np.sin(angle) * one + np.cos(angle) * two
    return out


def alibi_slopes(heads):
    """Press, Smith and Lewis 2022: a geometric series, filled up by every other one of the next finer series."""
    if heads & (heads - 1) == 0:
        return [2 ** (-8 * (h + 1) / heads) for h in range(heads)]
    below = 1 << (heads.bit_length() - 1)
    return alibi_slopes(below) + alibi_slopes(2 * below)[::2][: heads - below]


@dataclass(frozen=True)
class Dense:
    """A transformer. rope: (base, share). init: a number, "xavier", "lecun" or {matrix: std}. act None: no MLP.

    whole_values: a head averages the tokens as they are, and its d columns of the output matrix are drawn as (d x d).
    """

    d: int
    layers: int
    heads: int
    head_dim: int
    kv_heads: int | None = None
    causal: bool = False
    rope: tuple | None = None
    alibi: bool = False
    qk_norm: bool = False
    score_scale: float = 1.0
    whole_values: bool = False
    act: str | None = None
    width: int = 0
    gated: bool = False
    norm: str = "rms"
    eps: float = 0.0
    placement: str = "pre"
    parallel: bool = False
    residual_scale: float = 1.0
    layer_scale: float = 1.0
    depth_scaled: bool = False
    init: object = "lecun"
    error: str = field(default="", compare=False)

    def shapes(self):
        inner, shared = self.heads * self.head_dim, (self.kv_heads or self.heads) * self.head_dim
        found = {
            "query": (inner, self.d), "key": (shared, self.d), "value": (shared, self.d), "output": (self.d, inner),
            "up": (self.width, self.d), "gate": (self.width, self.d), "down": (self.d, self.width),
        }  # fmt: skip
        if self.whole_values:
            found["output"] = (self.d, self.heads * self.d)
        left_out = ["value"] * self.whole_values + ["gate"] * (not self.gated)
        return {name: found[name] for name in (MATRICES if self.act else MATRICES[:4]) if name not in left_out}

    def deviation(self, name):
        rows, columns = (self.d, self.d) if self.whole_values and name == "output" else self.shapes()[name]
        if isinstance(self.init, dict):
            std = self.init[name]
        elif self.init == "xavier":
            std = math.sqrt(2 / (rows + columns))
        elif self.init == "lecun":
            std = math.sqrt(1 / columns)
        else:
            std = self.init
        if self.depth_scaled and name in ("output", "down"):
            std /= math.sqrt(2 * self.layers)
        return std * (math.sqrt(2) if self.error == name else 1)

    def weights(self, rng, networks):
        """The matrices of one layer of every network."""
        return {
            name: self.deviation(name) * rng.standard_normal((networks, *shape))
            for name, shape in self.shapes().items()
        }

    def allowed(self, n):
        """Whether query i may read key j."""
        i, j = np.indices((n, n))
        if not self.causal:
            return i >= 0
        if self.error == "mask strict":
            return (j < i) | (i == 0) & (j == 0)
        return j <= i + (self.error == "mask ahead")

    def attention(self, z, w):
        """Attention of z, its statistics, and the way back."""
        networks, _, n = z.shape
        groups = self.kv_heads or self.heads
        members = self.heads // groups
        q = (w["query"] @ z).reshape(networks, self.heads, self.head_dim, n)
        k, v = ((w[name] @ z if name in w else np.tile(z, (1, groups, 1))).reshape(networks, groups, -1, n)
                for name in ("key", "value"))  # fmt: skip
        keep = [lambda g: g, lambda g: g]
        if self.qk_norm:
            (q, keep[0]), (k, keep[1]) = normed(q), normed(k)
        spin = [self.rope, None if self.error == "keys unrotated" else self.rope]
        q, k = (rotated(a, *by) if by else a for a, by in zip((q, k), spin, strict=True))
        k, v = np.repeat(k, members, axis=1), np.repeat(v, members, axis=1)
        factor = self.score_scale / math.sqrt(self.head_dim)
        scores = factor * turned(q) @ k
        if self.alibi:
            i, j = np.indices((n, n))
            scores = scores - np.array(alibi_slopes(self.heads))[:, None, None] * abs(i - j)
        allowed = self.allowed(n)
        p = np.exp(np.where(allowed, scores, -np.inf) - np.where(allowed, scores, -np.inf).max(-1, keepdims=True))
        p /= p.sum(axis=-1, keepdims=True)
        y = w["output"] @ (v @ turned(p)).reshape(networks, -1, n)

        def back(g):
            g = (turned(w["output"]) @ g).reshape(v.shape)
            by_p = turned(g) @ v
            by_score = factor * p * (by_p - (p * by_p).sum(axis=-1, keepdims=True))
            by_k, by_v = ((a @ b).reshape(networks, groups, members, -1, n).sum(axis=2)
                          for a, b in ((q, by_score), (g, p)))  # fmt: skip
            by_q, by_k = (rotated(a, *by, sign=-1) if by else a
                          for a, by in zip((k @ turned(by_score), by_k), spin, strict=True))  # fmt: skip
            parts = {"query": keep[0](by_q), "key": keep[1](by_k), "value": by_v}
            found = sum(turned(w[name]) @ parts[name].reshape(networks, -1, n) for name in parts if name in w)
            return found + by_v.sum(axis=1) if self.whole_values else found

        told = {
            "score_std": np.sqrt(scores.var(axis=-1, where=allowed)[:, :, allowed.sum(axis=-1) > 1].mean(axis=(1, 2))),
            "entropy": entr(p).sum(axis=-1).mean(axis=(1, 2)),
            "effective_keys": (1 / (p * p).sum(axis=-1)).mean(axis=(1, 2)),
        }
        return y, told, back

    def mlp(self, z, w):
        """The MLP of z and the way back."""
        a = w["gate" if self.gated else "up"] @ z
        b = w["up"] @ z if self.gated else 1.0
        h = ACT[self.act](a)

        def back(g):
            g = turned(w["down"]) @ g
            if not self.gated:
                return turned(w["up"]) @ (g * SLOPE[self.act](a))
            return turned(w["gate"]) @ (g * b * SLOPE[self.act](a)) + turned(w["up"]) @ (g * h)

        return w["down"] @ (h * b), {}, back

    def normalisation(self, x, here):
        """The norm of x where there is one."""
        if not here:
            return x, lambda g: g
        eps = 0.0 if self.error == "no epsilon" else self.eps
        return normed(x, self.norm == "layer", self.error == "norm backward", eps)

    def block(self, x, branches):
        """The stream after some branches that read it at once."""
        z, back_in = self.normalisation(x, self.placement in ("pre", "peri"))
        total, told, backs = x, {}, []
        scale = self.residual_scale * self.layer_scale
        for branch in branches:
            y, found, back = branch(z)
            y, back_y = self.normalisation(y, self.placement == "peri")
            total = total + scale * y
            told |= found
            backs.append((back, back_y))
        out, back_out = self.normalisation(total, self.placement == "post")

        def back_all(g):
            g = back_out(g)
            return g + back_in(sum(back(back_y(scale * g)) for back, back_y in backs))

        return out, told, back_all

    def layer(self, x, w):
        """One layer: the stream after it, the statistics of its attention, the way back."""
        branches = [lambda z: self.attention(z, w)] + ([lambda z: self.mlp(z, w)] if self.act else [])
        told, backs = {}, []
        for together in [branches] if self.parallel else [[one] for one in branches]:
            x, found, back = self.block(x, together)
            told |= found
            backs.append(back)

        def back_all(g):
            for back in reversed(backs):
                g = back(g)
            return g

        return x, told, back_all

    def run(self, start, networks, seed):
        """{(statistic, layer): a number for each network}; start(rng, networks, d) draws the tokens."""
        parts = []
        for batch in range(0, networks, BATCH):
            rng = np.random.default_rng([seed, batch])
            parts.append(self.some(rng, start(rng, min(BATCH, networks - batch), self.d)))
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def some(self, rng, x):
        """The same for the given starts (networks, d, n)."""
        found, backs = {(name, 0): value for name, value in measured(x).items()}, []
        for layer in range(1, self.layers + 1):
            x, told, back = self.layer(x, self.weights(rng, len(x)))
            backs.append(back)
            found |= {(name, layer): value for name, value in (measured(x) | told).items()}
        g = rng.standard_normal(x.shape)
        last = (g * g).mean(axis=(1, 2))
        for layer in range(self.layers, -1, -1):
            found["log_gradient", layer] = np.log((g * g).mean(axis=(1, 2)) / last)
            g = backs[layer - 1](g) if layer else g
        return found


def measured(x):
    """Statistics of the tokens x (networks, d, n); 1 - cos is half the squared distance of the directions."""
    n = x.shape[-1]
    u = x / np.sqrt((x * x).sum(axis=1, keepdims=True))
    gap = 0.5 * ((u[:, :, :, None] - u[:, :, None, :]) ** 2).sum(axis=1)
    later, earlier = np.tril_indices(n, -1)
    pairs = gap[:, later, earlier]
    found = {"overlap": 1 - pairs.mean(axis=1), "gap": pairs.mean(axis=1), "log_gap": np.log(pairs).mean(axis=1)}
    for q in QUANTILES:
        found[f"cosine_quantile {q}"] = np.quantile(1 - pairs, q, axis=1)
    for i in sorted({1, n // 2, n - 1}):
        found[f"overlap_at {i}"] = 1 - gap[:, i, :i].mean(axis=1)
    found["radius"] = np.sqrt((x * x).mean(axis=(1, 2)))
    found["stable_rank"] = (x * x).sum(axis=(1, 2)) / np.linalg.norm(x, 2, axis=(1, 2)) ** 2
    return found
