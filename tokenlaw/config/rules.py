"""Checks of a configuration of several keys, none of which is the rule of an object: `tokenlaw.runs.build`."""

from collections.abc import Callable, Mapping
from typing import Final, NoReturn, Self

from pydantic import model_validator
from pydantic_core import PydanticCustomError

from tokenlaw.config.layers import Heads
from tokenlaw.config.schema import Sections
from tokenlaw.config.toml import keyed
from tokenlaw.config.types import kinds_of, models_of

LAYERS_OF: Final[Mapping[str, frozenset[str]]] = {
    "fixed": frozenset({"transformer", "ballistic", "modified"}),
    "smooth": frozenset({"transformer", "ballistic"}),
}
"""Kinds of layers that heads of some kinds are restricted to."""
USUAL_HEADS: Final = "gaussian"
"""Kind of the heads where it is left out."""
WITHOUT_HEADS: Final[Mapping[str, str]] = {
    "recorded": "whose file holds the heads",
    "equation": "which is made of terms",
}
"""Kinds of layers without [heads], and why."""
ROUND: Final = (2, 3)
"""Dimensions in which there are densities, quadratures and spectral fields."""

MAX_STEPS: Final = 10**9
MAX_RECORDS: Final = 10**6
"""Largest number of saved states of one run."""


def fill_in(data: object) -> object:
    """Copy of raw data with what other sections tell: [heads], and the retraction."""
    if not isinstance(data, Mapping):
        return data
    model, heads, layers = data.get("model"), data.get("heads"), data.get("layers")
    kind = layers.get("kind") if isinstance(layers, Mapping) else None
    euclidean = isinstance(model, Mapping) and model.get("space") == "euclidean"
    if euclidean and isinstance(layers, Mapping) and kind != "equation":
        data = {**data, "layers": {"retraction": "translate", **layers}}
    if heads is None and kind not in WITHOUT_HEADS:
        heads = {}
    return {**data, "heads": {"kind": USUAL_HEADS, **heads}} if isinstance(heads, Mapping) else data


def refuse(c: Sections, path: str, text: str) -> NoReturn:
    """Report a value that contradicts another one; `text` is all that follows the key and its value."""
    raise PydanticCustomError("configuration", "refused", {"text": keyed(c, path, text)})


def check_heads(c: Sections) -> None:
    """Heads are there exactly when layers are drawn, of a kind that fits, and something moves."""
    kind, heads = c.layers.kind, c.heads
    if kind in WITHOUT_HEADS:
        if heads is not None:
            text = f'heads: not used with layers.kind = "{kind}", {WITHOUT_HEADS[kind]}; remove the section'
            raise PydanticCustomError("configuration", "refused", {"text": text})
        return
    assert heads is not None  # filled in
    if kind not in LAYERS_OF.get(heads.kind, {kind}):
        known = [one for model in models_of(Heads) for one in kinds_of(model) if kind in LAYERS_OF.get(one, {kind})]
        refuse(c, "heads.kind", f'must be one of {", ".join(known)} with layers.kind = "{kind}"')
    if heads.kind == "fixed":
        _check_fixed(c)
    elif kind in ("ballistic", "modified") and heads.mean_v is None and getattr(c.layers, "mlp", None) is None:
        refuse(
            c, "heads.mean_v",
            f'missing with layers.kind = "{kind}", where only the mean of V moves tokens: without one nothing moves; '
            'give it, or take layers.kind = "homogenized"',
        )  # fmt: skip


def _check_fixed(c: Sections) -> None:
    """Three matrices, or a file that holds them."""
    for name in ("value", "query", "key"):
        given, file = getattr(c.heads, name), getattr(c.heads, "file", None)
        if file is not None and given is not None:
            refuse(c, f"heads.{name}", "given beside heads.file; either the file or the three matrices")
        if file is None and given is None:
            refuse(c, f"heads.{name}", "missing; fixed heads need value, query and key, or a file")


def check_attention(c: Sections) -> None:
    """An equation of one's own has no attention; everything else has its temperature."""
    if c.layers.kind == "equation":
        if c.model.causal:
            refuse(c, "model.causal", 'must be false with layers.kind = "equation", which has no attention')
    elif c.model.beta is None:
        refuse(c, "model.beta", "missing; must be a finite number at least 0")


def check_steps(c: Sections) -> None:
    """Steps fit the horizon, records fit a file."""
    layers = c.layers
    if layers.kind == "recorded":
        return
    if layers.kind == "transformer":
        dt, n_steps = layers.eta, float(layers.depth)
    else:
        dt, n_steps = layers.dt, layers.t_end / layers.dt
        if 0 < layers.t_end < dt:
            refuse(c, "layers.t_end", f"must be 0 or at least layers.dt = {dt}")
        tolerance, field_tol = getattr(layers, "tolerance", None), c.solve.field_tol
        if tolerance is not None and tolerance < field_tol:
            refuse(c, "layers.tolerance", f"must be at least solve.field_tol = {field_tol:g}, what the field keeps")
        if not layers.refine * n_steps <= MAX_STEPS:
            refuse(c, "layers.dt", f"must be so large that layers.t_end takes at most {MAX_STEPS} steps")
    if not n_steps / max(1.0, c.output.save_every / dt) <= MAX_RECORDS:
        refuse(c, "output.save_every", f"must let at most {MAX_RECORDS} states be saved")


def check_space(c: Sections) -> None:
    """On the sphere tokens are brought back to it, in R^d they are not."""
    if c.model.space == "sphere":
        reason = 'must be another one with model.space = "sphere"'
        if getattr(c.layers, "retraction", "") == "translate":
            refuse(c, "layers.retraction", reason)
        if c.initial.kind == "gaussian":
            refuse(c, "initial.kind", reason)
        return
    reason, mlp = 'with model.space = "euclidean"', getattr(c.layers, "mlp", None)
    if c.layers.kind in ("modified", "equation"):
        what = "corrector" if c.layers.kind == "modified" else "equation"
        refuse(c, "layers.kind", f"must be another kind {reason}; the {what} is that of the sphere")
    if getattr(c.layers, "norm", "post") != "post":
        refuse(c, "layers.norm", f'must be "post" {reason}; residual streams have model.space = "sphere"')
    if getattr(c.layers, "private_noise", 0.0):
        refuse(c, "layers.private_noise", f"must be 0 {reason}; it is a noise on the sphere")
    if getattr(c.layers, "retraction", "") != "translate":
        refuse(c, "layers.retraction", f"must be translate {reason}")
    if mlp is not None and not mlp.width:
        refuse(c, "layers.mlp.width", f"must be at least 1 {reason}; the limit field is that of the sphere")


def check_simulate(c: Sections) -> None:
    """Methods of the circle and the sphere S^2 are asked for there only; torch and single precision for softmax."""
    simulate, d, space = c.simulate, c.model.d, c.model.space
    for key, special in (("field", "spectral"), ("sampling", "quadrature")):
        if getattr(simulate, key) == special and space != "sphere":
            refuse(c, f"simulate.{key}", f'must be another method with model.space = "{space}"')
        if getattr(simulate, key) == special and d not in ROUND:
            refuse(c, f"simulate.{key}", f"must be another method unless model.d is 2 or 3, and model.d is {d}")
    given = f'"{c.model.attention}"' + (" with model.causal" if c.model.causal else "")
    for key, special in (("field", "torch"), ("precision", "single")):
        if getattr(simulate, key) == special and c.layers.kind == "equation":
            refuse(c, f"simulate.{key}", 'belongs to attention, which layers.kind = "equation" has none of')
        if getattr(simulate, key) == special and given != '"softmax"':
            refuse(c, f"simulate.{key}", f'needs model.attention = "softmax", not {given}')
    if simulate.precision == "single" and simulate.field == "spectral":
        refuse(c, "simulate.precision", 'must be "double" with simulate.field = "spectral"')


def check_stream(c: Sections) -> None:
    """A residual stream has no retraction, and its scheme is that of its blocks."""
    norm = getattr(c.layers, "norm", "post")
    if norm == "post" or c.layers.kind == "equation":
        return
    if getattr(c.layers, "private_noise", 0.0):
        refuse(c, "layers.norm", 'must be "post" with layers.private_noise, a noise on the sphere')
    if c.layers.retraction != "normalize":
        refuse(c, "layers.retraction", f'not used with layers.norm = "{norm}"; leave it out')
    if c.layers.kind == "ballistic" and c.layers.scheme != "euler":
        refuse(c, "layers.scheme", f'must be "euler" with layers.norm = "{norm}"')


CHECKS: Final[tuple[Callable[[Sections], None], ...]] = (
    check_attention,
    check_heads,
    check_steps,
    check_space,
    check_simulate,
    check_stream,
)


class Configuration(Sections):
    """A whole configuration, complete and consistent.

    Example
    -------
    >>> from tokenlaw.config.read import load_text
    >>> text = '''
    ... model = {d = 3, beta = 2.0}
    ... heads = {kind = "gaussian"}
    ... layers = {kind = "homogenized", dt = 0.02, t_end = 2.0}
    ... initial = {kind = "uniform"}
    ... '''
    >>> load_text(text).solve.lmax
    63
    """

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: object) -> object:
        """Fill in what depends on other sections."""
        return fill_in(data)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for check in CHECKS:
            check(self)
        return self
