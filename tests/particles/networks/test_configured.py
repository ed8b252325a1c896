"""Networks and embeddings by configurations: what is taken, as the library makes it, and what is refused."""

import math

import numpy as np
import pytest

from particles import ACTIVATIONS
from particles.networks import LayerNorm, Network, Normal, PostNorm, PreNorm, RMSNorm, RoPE, embeddings_of, network_of
from particles.networks.configured import BY_NAME

GPT2 = {"model_type": "gpt2", "n_embd": 48, "n_layer": 3, "n_head": 4}
LLAMA = {
    "model_type": "llama", "hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 128
}  # fmt: skip
BERT = {**LLAMA, "model_type": "bert"}
KINDS = {kind: {**LLAMA, "model_type": kind} for kind in ("llama", "qwen2", "qwen3", "mistral", "gemma")}
KINDS |= {kind: {**BERT, "model_type": kind} for kind in ("bert", "roberta", "vit")} | {"gpt2": GPT2}


def taken(config, context=16):
    return network_of(config, context)


@pytest.mark.parametrize(
    ("kind", "norm", "placement", "causal", "gated", "activation", "rope", "qk_norm", "depth_scaled"),
    [
        ("gpt2", LayerNorm(1e-5), PreNorm(), True, False, "gelu, by tanh", False, False, True),
        ("llama", RMSNorm(1e-6), PreNorm(), True, True, "silu", True, False, False),
        ("qwen2", RMSNorm(1e-6), PreNorm(), True, True, "silu", True, False, False),
        ("qwen3", RMSNorm(1e-6), PreNorm(), True, True, "silu", True, True, False),
        ("gemma", RMSNorm(1e-6), PreNorm(), True, True, "gelu, by tanh", True, False, False),
        ("bert", LayerNorm(1e-12), PostNorm(), False, False, "gelu", False, False, False),
        ("roberta", LayerNorm(1e-12), PostNorm(), False, False, "gelu", False, False, False),
        ("vit", LayerNorm(1e-12), PreNorm(), False, False, "gelu", False, False, False),
    ],
)
def test_a_family_is_what_it_is(kind, norm, placement, causal, gated, activation, rope, qk_norm, depth_scaled):
    found = taken(KINDS[kind])
    attention = found.attention
    assert (found.norm, found.placement, attention.causal, attention.qk_norm) == (norm, placement, causal, qk_norm)
    assert (found.mlp.gated, found.mlp.activation.name, found.depth_scaled) == (gated, activation, depth_scaled)
    assert (attention.positions is not None) == rope
    assert (found.d, found.layers, attention.heads, found.initialisation) == (48, 3, 4, Normal(0.02))
    assert (found.parallel, found.residual_scale, attention.score_scale) == (False, 1, 1)
    assert found.mlp.width == (192 if kind == "gpt2" else 128)


def test_sizes_that_are_given_and_those_of_the_library():
    assert taken(LLAMA).attention.head_dim == 12
    assert taken(LLAMA).attention.groups == 4
    assert taken(LLAMA | {"num_key_value_heads": 2, "head_dim": 6}).attention.groups == 2
    assert taken(LLAMA | {"num_key_value_heads": 2, "head_dim": 6}).attention.head_dim == 6
    assert taken(LLAMA | {"num_key_value_heads": None}).attention.groups == 4
    assert taken(KINDS["mistral"] | {"num_attention_heads": 16, "head_dim": 4}).attention.groups == 8
    assert taken(KINDS["qwen3"]).attention.head_dim == 128
    assert taken(KINDS["gemma"]).attention.head_dim == 256
    assert taken(GPT2 | {"n_inner": 50}).mlp.width == 50
    assert taken(GPT2 | {"scale_attn_weights": False}).attention.score_scale == pytest.approx(math.sqrt(12))
    assert taken(LLAMA | {"initializer_range": 0.1}).initialisation == Normal(0.1)
    assert taken(BERT | {"is_decoder": True}).attention.causal


@pytest.mark.parametrize(
    ("keys", "base"),
    [
        ({}, 1e4), ({"rope_theta": 5e5}, 5e5), ({"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}, 1e6),
        ({"rope_theta": 7.0, "rope_scaling": None}, 7.0), ({"rope_parameters": None}, 1e4),
    ],
)  # fmt: skip
def test_rotary_positions(keys, base):
    assert taken(LLAMA | keys).attention.positions == RoPE(base)


def test_a_configuration_object_is_taken():
    class Settings:
        def to_dict(self):
            return GPT2

    assert network_of(Settings()) == network_of(GPT2) == Network.from_config(GPT2)


@pytest.mark.parametrize(
    ("kind", "keys", "context", "refused"),
    [
        ("mistral", {"sliding_window": 15}, 16, True), ("mistral", {"sliding_window": 16}, 16, False),
        ("mistral", {}, 4096, False), ("mistral", {}, 4097, True), ("mistral", {}, None, True),
        ("mistral", {"max_position_embeddings": 4096}, None, False), ("mistral", {"sliding_window": None}, 9999, False),
        ("qwen2", {"sliding_window": 8, "use_sliding_window": False}, 16, False),
        ("qwen2", {"sliding_window": 8}, 16, False),
        ("qwen2", {"sliding_window": 8, "use_sliding_window": True}, 16, True),
        ("qwen2", {"sliding_window": 8, "use_sliding_window": True, "layer_types": ["full_attention"] * 3}, 16, False),
        ("llama", {"sliding_window": 8}, 16, False),
    ],
)  # fmt: skip
def test_windows(kind, keys, context, refused):
    config = KINDS[kind] | {"num_key_value_heads": 4} | keys
    if refused:
        with pytest.raises(ValueError, match=r"sliding_window must be at least the context of \d+ tokens; .*, got "):
            network_of(config, context)
    else:
        assert network_of(config, context).attention.causal


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({}, r"model_type must be one of gpt2, llama, qwen2, .*, vit, got None"),
        (5, r"model_type must be one of .*, got None"),
        ({"model_type": "mixtral"}, r'model_type must be one of .*, got "mixtral"'),
        ({"model_type": ["gpt2"]}, r"model_type must be one of"),
        ({"model_type": "gpt2"}, r"n_embd must be a whole number of at least 1, got None"),
        (GPT2 | {"n_layer": 2.0}, r"n_layer must be a whole number of at least 1, got 2.0"),
        (GPT2 | {"n_layer": True}, r"n_layer must be a whole number of at least 1, got True"),
        (GPT2 | {"n_head": 0}, r"n_head must be a whole number of at least 1, got 0"),
        (GPT2 | {"n_head": 5}, r"num_attention_heads must divide hidden_size = 48 .*, got 5"),
        (GPT2 | {"activation_function": "quick_gelu"}, r'activation_function must be one of .*, got "quick_gelu"'),
        (GPT2 | {"scale_attn_by_inverse_layer_idx": True}, r"scale_attn_by_inverse_layer_idx must be absent: scores"),
        (GPT2 | {"add_cross_attention": True}, r"add_cross_attention must be absent: attention to other tokens"),
        (GPT2 | {"initializer_range": 0.0}, r"initializer_range must be a positive number, got 0.0"),
        (GPT2 | {"initializer_range": math.nan}, r"initializer_range must be a positive number, got nan"),
        (GPT2 | {"initializer_range": "0.02"}, r'initializer_range must be a positive number, got "0.02"'),
        (LLAMA | {"num_local_experts": 8}, r"num_local_experts must be absent: a mixture of experts"),
        (LLAMA | {"auto_map": {"AutoModel": "x"}}, r"auto_map must be absent: a model with code of its own"),
        (LLAMA | {"is_encoder_decoder": True}, r"is_encoder_decoder must be absent"),
        (LLAMA | {"num_key_value_heads": 3}, r"kv_heads must divide the 4 heads, got 3"),
        (LLAMA | {"head_dim": 7}, r"head_dim must make share \* head_dim even"),
        (LLAMA | {"rope_scaling": {"rope_type": "yarn"}}, r'rope_scaling must be of the type default: .*"yarn"'),
        (LLAMA | {"rope_scaling": {"type": "linear"}}, r'rope_scaling must be of the type default.*"linear"'),
        (LLAMA | {"rope_parameters": {"rope_type": "llama3"}}, r'rope_parameters must be of the type.*"llama3"'),
        (LLAMA | {"rope_parameters": 3}, r"rope_parameters must be an object, got 3"),
        (LLAMA | {"partial_rotary_factor": 0.5}, r"partial_rotary_factor must be 1, got 0.5"),
        (LLAMA | {"hidden_act": "mish"}, r'hidden_act must be one of .*, got "mish"'),
        (KINDS["gemma"] | {"use_bidirectional_attention": True}, r"use_bidirectional_attention must be absent"),
        (BERT | {"position_embedding_type": "relative_key"}, r"position_embedding_type must be absolute, got"),
    ],
)  # fmt: skip
def test_what_a_network_cannot_stand_for_is_refused(config, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        taken(config)


def test_the_gelu_of_gpt2():
    """Within 4.8e-4 of the exact one, its derivative that of its function."""
    z, step = np.linspace(-8, 8, 4001), 1e-5
    act = BY_NAME["gelu_new"]
    assert 4e-4 < np.abs(act.function(z) - ACTIVATIONS["gelu"].function(z)).max() < 4.8e-4
    slope = (act.function(z + step) - act.function(z - step)) / (2 * step)
    assert np.abs(act.derivative(z) - slope).max() < 1e-9
    assert BY_NAME["gelu"] is ACTIVATIONS["gelu"]


# --- embeddings: against matrices written out

IDS = np.array([7, 3, 7, 9, 0, 3, 1])


def dense(kind, d, given, rng, std=0.02):
    """Tokens (n, d) before the first block, from matrices as the library draws them."""
    draw = lambda *shape: std * rng.standard_normal(shape)  # noqa: E731
    if kind == "vit":
        patches = given.reshape(3, 2, 4, 2, 4).transpose(1, 3, 0, 2, 4).reshape(4, 48)
        return np.concatenate([draw(1, d), patches @ draw(48, d)]) + draw(5, d)
    words, places = draw(12, d), draw(len(given), d)
    if kind in ("gpt2", "llama"):
        return words[given] + (places if kind == "gpt2" else 0)
    blank = {"gemma": 0, "bert": 0, "roberta": 1}[kind]
    words[blank] = 0
    if kind == "gemma":
        return words[given] * math.sqrt(d)
    if kind == "roberta":
        places[given == blank] = 0
    x = words[given] + places + draw(d)
    x = x - x.mean(axis=1, keepdims=True)
    return x / np.sqrt(np.mean(x**2, axis=1, keepdims=True) + 1e-12)


@pytest.mark.parametrize("axes", [0, 1])
@pytest.mark.parametrize("kind", ["gpt2", "llama", "gemma", "bert", "roberta", "vit"])
def test_embeddings_have_the_law_of_the_library(kind, axes):
    """Means and variances of the Gram matrix and of the mean of each token, over 3,000 draws."""
    d, draws, config = 24, 3000, KINDS[kind]
    given = np.random.default_rng(5).standard_normal((3, 8, 8)) if kind == "vit" else IDS
    if kind == "vit":
        config = config | {"image_size": 8, "patch_size": [4, 4]}
    elif kind == "gemma":
        config = config | {"hidden_size": d}
    start = embeddings_of(config, given)
    rng = np.random.default_rng(0)
    assert start.tokens == (5 if kind == "vit" else 7)

    def told(gram, first):
        upper = gram[np.triu_indices(len(gram))]
        return np.concatenate([upper, upper**2, first**2])

    ours, theirs = [], []
    for _ in range(draws):
        rows = start.rows(d, axes, rng)
        ours.append(told(rows.T @ rows, rows[0] if axes else np.zeros(start.tokens)))
        x = dense(kind, d, given, rng)
        theirs.append(told(x @ x.T, x.sum(axis=1) / math.sqrt(d) if axes else np.zeros(start.tokens)))
    ours, theirs = np.array(ours), np.array(theirs)
    error = np.sqrt((ours.var(axis=0) + theirs.var(axis=0)) / draws)
    scale = np.abs(theirs).mean(axis=0) + 1e-12
    difference = np.abs(ours.mean(axis=0) - theirs.mean(axis=0))
    assert np.all(difference < 4.5 * error + 1e-9 * scale + 1e-20)


def test_as_many_different_words_as_asked_for():
    assert sorted(embeddings_of(GPT2, 5).ids) == [0, 1, 2, 3, 4]
    assert sorted(embeddings_of(BERT, 3).start.ids) == [1, 2, 3]  # 0 is padding, whose row is 0
    assert embeddings_of(LLAMA | {"pad_token_id": None}, 3).blank is None


def test_pixels_that_are_drawn_are_standard_normal():
    config = KINDS["vit"] | {"image_size": 8, "patch_size": 4}
    start, rng = embeddings_of(config, 5), np.random.default_rng(0)
    grams = np.mean([(rows := start.rows(48, 0, rng)).T @ rows for _ in range(2000)], axis=0) / 48
    expected = 4e-4 * np.diag([2.0, *[49.0] * 4])
    assert np.abs(grams - expected).max() < 6e-4  # five standard errors


@pytest.mark.parametrize(
    ("config", "given", "text"),
    [
        (GPT2, [3], "given must be at least two whole numbers in a row, or their number"),
        (GPT2, [0.5, 1.0], "given must be at least two whole numbers"),
        (GPT2, [[1, 2]], "given must be at least two whole numbers"),
        (GPT2, 1, "given must be at least two whole numbers"),
        (KINDS["vit"], 5, "given must be 197: 196 patches and the class token, got 5"),
        (KINDS["vit"], np.zeros((3, 8, 8)), r"given must be pixels of shape \(3, 224, 224\), got \(3, 8, 8\)"),
        (KINDS["vit"] | {"patch_size": 0}, 5, "patch_size must be a whole number of at least 1, got 0"),
    ],
)
def test_what_is_no_text_and_no_image_is_refused(config, given, text):
    with pytest.raises(ValueError, match=f"^{text}"):
        embeddings_of(config, given)
