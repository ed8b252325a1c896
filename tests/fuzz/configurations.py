"""Configurations: whole valid ones drawn from all kinds of sections, and what people and accidents make of them."""

import datetime
from collections.abc import Mapping
from typing import Any, Literal, get_args, get_origin

from hypothesis import strategies as st

from tokenlaw.config import words as config_messages
from tokenlaw.config.rules import Configuration
from tokenlaw.config.toml import write_key, write_value
from tokenlaw.config.types import models_of

Document = dict[str, Any]
PATHS = sorted({path for _, path in config_messages.all_keys()} | {"layers.mlp.width", "layers.mlp.activation"})
EYE = {d: [[float(i == j) for j in range(d)] for i in range(d)] for d in (2, 3, 5)}
NUMBERS = (
    -1, 0, 1, 2, 3, 7, 64, 1000, 10**6, 10**9, 10**9 + 1, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63) - 1, 10**400,
    0.0, -0.0, 0.1, 0.5, 1.0, 1 + 1e-9, -1.0, 30.0, 1e3, 5e-324, 1e-300, 1e-8, 1e8, 1e154, 1e300,
    1.7976931348623157e308,
    float("nan"), float("inf"), float("-inf"),
)  # fmt: skip
WORDS = (
    "", " ", "gaussian", "softmax", "normalize", "pre", "rms", "euler", "3", "0.5", "nan", "true", "None", "\0", "\n",
    "a\u202eb", "é", "\U0001f600", "\u2028", "x" * 5000, "../../etc/passwd", "$(touch X)", "; rm -rf .", "`id`", "%s%n",
    "{0.__class__}", "{folder}", "__import__('os')", "/dev/zero", "/dev/null", "http://localhost:1/x.nc", ".", "c.toml",
)  # fmt: skip
OTHER = (
    True, False, [], {}, [[]], [[[]]], [1, 2, 3], [0.0, 0.0, 0.0], [[1.0]], {"kind": "gaussian"}, [{}], [None],
    datetime.date(1979, 5, 27), datetime.datetime(1979, 5, 27, 7, 32, tzinfo=datetime.UTC), datetime.time(7, 32),
    [float("nan")] * 3, [1e200, 1e200, 1e200], [5e-324, 0.0, 0.0], ["a", 1], [[1, 2], [3]],
)  # fmt: skip


def _choices() -> dict[str, tuple[Any, ...]]:
    """Values that some key takes by name, read off the models."""
    found: dict[str, set[Any]] = {}
    for section, about in Configuration.model_fields.items():
        for model in models_of(about.annotation):
            for key, field in model.model_fields.items():
                extra = field.json_schema_extra if isinstance(field.json_schema_extra, dict) else {}
                if get_origin(field.annotation) is Literal:
                    found.setdefault(f"{section}.{key}", set()).update(get_args(field.annotation))
                elif "table" in extra:
                    found.setdefault(f"{section}.{key}", set()).update(config_messages.names_in(str(extra["table"])))
    return {path: tuple(sorted(values)) for path, values in sorted(found.items())}


CHOICES = _choices()
anything = st.one_of(
    st.sampled_from(NUMBERS), st.sampled_from(WORDS), st.sampled_from(OTHER[:11] + OTHER[12:]),
    st.integers(), st.floats(), st.text(max_size=6), st.booleans(),
).filter(lambda value: value != [None])  # fmt: skip


@st.composite
def documents(draw: Any) -> Document:
    """A valid configuration of tiny sizes: every kind of every section, most combinations of them."""
    d = draw(st.sampled_from((3, 3, 3, 2, 5)))
    space = draw(st.sampled_from(("sphere", "sphere", "sphere", "euclidean")))
    attention = draw(st.sampled_from(("softmax", "softmax", *CHOICES["model.attention"])))
    model: Document = {"d": d, "beta": draw(st.sampled_from((2.0, 0.0, 1, 20.0))), "attention": attention}
    if space == "euclidean":
        model["space"] = space
    if attention != "sinkhorn" and draw(st.integers(0, 5)) == 0:
        model["causal"] = True
    layers = draw(_layers(space))
    document = {"model": model, "heads": draw(_heads(d, layers)), "layers": layers, "initial": draw(_initial(d, space))}
    document["solve"] = {"lmax": draw(st.sampled_from((12, 2, 7))), "carried_nodes": [8, 16]}
    document["simulate"] = {"tokens": 2 if document["initial"]["kind"] == "simplex" else draw(st.integers(1, 8))}
    document["output"] = {"save_every": draw(st.sampled_from((0.1, 0.01, 10.0)))}
    round_ones = space == "sphere" and d in (2, 3)
    spectral = round_ones and attention in ("softmax", "l2") and "causal" not in model
    plain = attention == "softmax" and "causal" not in model
    fields = ("auto", "direct", *(("spectral",) if spectral else ()), *(("torch",) if plain else ()))
    for path, share in (("solve.remap_every", (0, 1, 2)), ("solve.characteristics", (True,)), ("noise.seed", (3,)),
                        ("solve.on_unresolved", ("stop",)), ("simulate.field", fields),
                        ("simulate.sampling", ("quadrature",) if round_ones else ("random",)),
                        ("simulate.precision", ("single",) if plain else ("double",))):  # fmt: skip
        if draw(st.integers(0, 7)) == 0:
            put(document, path, draw(st.sampled_from(share)))
    return document


@st.composite
def _layers(draw: Any, space: str) -> Document:
    kinds = ("homogenized", "homogenized", "transformer", "ballistic", *(("modified",) if space == "sphere" else ()))
    kind = draw(st.sampled_from(kinds))
    layers: Document = {"kind": kind}
    if kind == "transformer":
        layers |= {"eta": 0.1, "heads": draw(st.integers(1, 3)), "depth": draw(st.integers(0, 2))}
    else:
        layers |= {"dt": 0.05, "t_end": draw(st.sampled_from((0.1, 0.05, 0.0)))}
        layers |= {"nodes": 2} | ({"eta": 0.1} if kind == "modified" else {})
    rare = draw(st.integers(0, 11))
    if rare == 0 and space == "sphere" and kind in ("homogenized", "transformer"):
        layers["private_noise"] = 0.1
    elif rare == 1 and kind != "modified":
        layers["norm"] = draw(st.sampled_from(("pre", "rms")))
    elif rare in (2, 3):
        layers["mlp"] = {"activation": draw(st.sampled_from(("relu", "erf", "tanh", "gelu", "linear"))),
                         "width": draw(st.sampled_from((4, 4, 0))), "sigma_r": 0.1}  # fmt: skip
    elif rare == 4 and space == "sphere":
        layers["retraction"] = "geodesic"
    elif rare == 5 and kind == "homogenized":
        layers["nodes_fixed"] = True
    elif rare == 6 and kind != "transformer":
        layers["refine"] = 2
    return layers


@st.composite
def _heads(draw: Any, d: int, layers: Mapping[str, Any]) -> Document:
    limits = layers["kind"] in ("ballistic", "modified")
    kinds = ["gaussian", "rademacher", "uniform", "low_rank"]
    kinds += ["fixed"] if layers["kind"] != "homogenized" else []
    kinds += ["smooth"] if layers["kind"] in ("transformer", "ballistic") else []
    kind = draw(st.sampled_from(kinds))
    if kind == "fixed":
        n = layers.get("heads", 1)
        return {"kind": kind, **{name: [EYE[d]] * n for name in ("value", "query", "key")}}
    heads: Document = {"kind": kind}
    if limits or draw(st.integers(0, 3)) == 0:
        heads["mean_v"] = EYE[d]
    if draw(st.integers(0, 3)) == 0:
        heads["head_dim"] = draw(st.integers(1, d))
    return heads


@st.composite
def _initial(draw: Any, d: int, space: str) -> Document:
    kinds = ["von_mises_fisher", "von_mises_fisher", "uniform", "conformal"]
    kinds = [*kinds, *kinds, "simplex", *(["gaussian"] * 6 if space == "euclidean" else [])]
    kind = draw(st.sampled_from(kinds))
    first = [1.0] + [0.0] * (d - 1)
    if kind == "von_mises_fisher":
        kappas = draw(st.lists(st.sampled_from((0.0, 1.0, 5.0)), min_size=1, max_size=2))
        return {"kind": kind, "components": [{"mean": first, "kappa": kappa} for kappa in kappas]}
    if kind == "gaussian":
        return {"kind": kind, "mean": first, "covariance": EYE[d]}
    return {"kind": kind, **({"a": [0.3] + [0.0] * (d - 1)} if kind == "conformal" else {}),
            **({"overlap": 0.2} if kind == "simplex" else {})}  # fmt: skip


@st.composite
def commands(draw: Any, document: Document) -> str:
    """A command for a configuration; mostly one that takes it."""
    model, initial = document.get("model"), document.get("initial")
    model, initial = (table if isinstance(table, dict) else {} for table in (model, initial))
    tokens_only = (
        model.get("space") == "euclidean"
        or model.get("d") == 5
        or "causal" in model
        or initial.get("kind") == "simplex"
        or model.get("attention") in ("sinkhorn", "sigmoid")
    )
    return draw(st.sampled_from(("simulate",) * (9 if tokens_only else 1) + ("solve", "compare")))


def put(document: Document, path: str, value: Any) -> None:
    """Set a key, making the tables above it where they are missing."""
    *above, key = path.split(".")
    for name in above:
        if not isinstance(document.get(name), dict):
            document[name] = {}
        document = document[name]
    document[key] = value


def _places(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [above] if above else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        found += _places(inner, (*above, key))
    return found


def _within(document: Document, place: tuple[Any, ...]) -> Any:
    found: Any = document
    for key in place:
        found = found[key]
    return found


def _copied(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copied(inner) for key, inner in value.items()}
    return [_copied(inner) for inner in value] if isinstance(value, list) else value


@st.composite
def broken(draw: Any) -> Document:
    """A valid configuration after up to four changes."""
    document = _copied(draw(documents()))
    for _ in range(draw(st.sampled_from((0, 1, 2, 3, 4)))):
        _change(draw, document)
    return document


def _change(draw: Any, document: Document) -> None:
    kind = draw(st.sampled_from(("value", "value", "known", "number", "delete", "rename", "wrap", "move", "choice")))
    places = _places(document)
    if kind == "known" or not places:
        put(document, draw(st.sampled_from(PATHS)), _copied(draw(anything)))
        return
    if kind == "choice":
        path = draw(st.sampled_from(sorted(CHOICES)))
        put(document, path, draw(st.sampled_from(CHOICES[path])))
        return
    place = draw(st.sampled_from(places))
    table, key = _within(document, place[:-1]), place[-1]
    if kind == "value":
        table[key] = _copied(draw(anything))
    elif kind == "number":
        table[key] = draw(st.sampled_from(NUMBERS))
    elif kind == "delete":
        del table[key]
    elif kind == "wrap":
        table[key] = draw(st.sampled_from(([table[key]], {"x": table[key]}, {str(key): table[key]})))
    elif kind == "rename" and isinstance(table, dict):
        name = str(key)
        table[draw(st.sampled_from((name[:-1], name + "s", name.upper(), name + " ", "é" + name, "")))] = table.pop(key)
    elif kind == "move":
        put(document, draw(st.sampled_from(PATHS)), _copied(table[key]))


def text_of(document: Mapping[str, Any]) -> str:
    """TOML text of a document of any shape."""
    return "\n".join(f"{write_key(key)} = {write_value(value)}" for key, value in document.items())


@st.composite
def damaged_texts(draw: Any) -> bytes:
    """Text of a valid configuration with bytes lost, repeated, changed or put in."""
    text = text_of(draw(documents())).encode()
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(text)))
        kind = draw(st.integers(0, 5))
        if kind == 5:
            text = text.replace(b"\n", draw(st.sampled_from((b"\r\n", b" # \xc3\xa9\n", b"\n\n", b"\t\n"))), at % 5)
        elif kind == 0:
            text = text[:at] + text[at + draw(st.integers(1, 9)) :]
        elif kind == 1:
            text = text[:at] + draw(st.binary(min_size=1, max_size=4)) + text[at:]
        elif kind == 2:
            text = text[:at] + draw(st.sampled_from(PIECES)) + text[at:]
        elif kind == 3:
            text = text[:at]
        else:
            text += b"\n" + text[at : at + draw(st.integers(1, 40))]
    return text


PIECES = (
    b"\xef\xbb\xbf", b"\xff\xfe", b"\0", b"\r", b"\r\n", b"'''", b'"""', b"[[", b"]]", b"=", b"#", b"\n[model]\n",
    b"[" * 2000, b"{a=" * 500, b"9" * 5000, b"1e999", b"0x", b"\\u0000", b"\xe2\x80\xa8", b"model.d.x = 1\n", b"_",
)  # fmt: skip
