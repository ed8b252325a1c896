"""Files of trained models as published: taken where plain formulas give the same, refused where they would not."""

import json
import re
import struct

import numpy as np
import pytest
import safetensors.numpy

from particles import RecordedLayers, Softmax, Tokens, Uniform, read_checkpoint, read_embedded, simulate
from particles.files.inputs import noted

L, M, D, WORDS, ROWS = 4, 3, 12, 30, 20
SIZES = {"num_attention_heads": M, "num_hidden_layers": L, "hidden_size": D}
RNG = np.random.default_rng(0)


def matrix(rows, columns=D):
    return (RNG.standard_normal((rows, columns)) / np.sqrt(columns)).astype(np.float32)


def bert(prefix="bert.", layers=range(L), gain="weight", key_rows=D):
    """Tensors of an encoder, all that a file of one holds."""
    shift = {"weight": "bias", "gamma": "beta"}[gain]
    found = {"embeddings.word_embeddings.weight": matrix(WORDS), "embeddings.position_embeddings.weight": matrix(ROWS)}
    found["embeddings.token_type_embeddings.weight"] = matrix(2)
    found["embeddings.position_ids"] = np.arange(ROWS)[None]
    norms, linear = ["embeddings.LayerNorm"], {}
    for k in layers:
        b = f"encoder.layer.{k}."
        linear |= {f"{b}attention.self.{name}": (rows, D) for name, rows in
                   (("query", D), ("key", key_rows), ("value", key_rows))}  # fmt: skip
        linear |= {f"{b}attention.output.dense": (D, D), f"{b}intermediate.dense": (4 * D, D)}
        linear |= {f"{b}output.dense": (D, 4 * D)}
        norms += [f"{b}attention.output.LayerNorm", f"{b}output.LayerNorm"]
    for name, (rows, columns) in linear.items():
        found[f"{name}.weight"] = matrix(rows, columns)
        found[f"{name}.bias"] = np.zeros(rows, np.float32)
    for name in norms:
        found[f"{name}.{gain}"] = RNG.uniform(0.5, 1.2, D).astype(np.float32)
        found[f"{name}.{shift}"] = np.zeros(D, np.float32)
    return {prefix + name: values for name, values in found.items()} | {"cls.predictions.bias": np.ones(WORDS)}


def put(folder, tensors, config=None, name="model.safetensors"):
    folder.mkdir(exist_ok=True)
    safetensors.numpy.save_file(tensors, folder / name)
    if config is not None:
        (folder / "config.json").write_text(json.dumps(config))
    return folder / name


def in_parts(folder, tensors, of=2):
    """Parts cut between layers, and the index that names them."""
    names, files = sorted(tensors), {}
    for part in range(of):
        file = f"model-{part + 1:05d}-of-{of:05d}.safetensors"
        chosen = [name for k, name in enumerate(names) if k * of // len(names) == part]
        put(folder, {name: tensors[name] for name in chosen}, name=file)
        files |= dict.fromkeys(chosen, file)
    index = folder / "model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {}, "weight_map": files}))
    return index


def in_bfloat16(path, tensors):
    """What safetensors writes for a type that numpy lacks; returns the numbers it holds."""
    header, blobs, held, at = {}, [], {}, 0
    for name, values in tensors.items():
        halves = (values.astype(np.float32).view(np.uint32) >> 16).astype("<u2")
        held[name] = (halves.astype(np.uint32) << 16).view(np.float32)
        header[name] = {"dtype": "BF16", "shape": list(values.shape), "data_offsets": [at, at + halves.nbytes]}
        blobs.append(halves.tobytes())
        at += halves.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + b"".join(blobs))
    return held


def assert_is(law, tensors, prefix="bert.", gain="weight"):
    """Layer by layer the attention of the papers: softmax(q . k / head_dim^(1/2)), heads in rows."""
    assert len(law) == L
    found = {name.removeprefix(prefix): np.float64(values) for name, values in tensors.items()}
    u, k = Uniform(D).sample(np.random.default_rng(1), 5), D // M
    for layer in range(L):
        before = "embeddings" if layer == 0 else f"encoder.layer.{layer - 1}.output"
        g, b = found[f"{before}.LayerNorm.{gain}"], f"encoder.layer.{layer}.attention."
        x = np.sqrt(D) * g * u
        added = np.zeros_like(x)
        for head in range(M):
            rows = slice(head * k, (head + 1) * k)
            q, y, v = (x @ found[f"{b}self.{name}.weight"][rows].T for name in ("query", "key", "value"))
            share = np.exp(q @ y.T / np.sqrt(k))
            added += share / share.sum(1, keepdims=True) @ v @ found[f"{b}output.dense.weight"][:, rows].T
        y = u + added / np.sqrt(D * np.mean(g**2))
        only = slice(layer, layer + 1)
        one = RecordedLayers(law.out[only], law.query[only], law.key[only], Softmax(1.0), inner=law.inner[only])
        moved = simulate(Tokens(u), one, n_steps=1).tokens.values[-1]
        assert np.abs(moved - y / np.linalg.norm(y, axis=1, keepdims=True)).max() < 1e-12


def embedded(tensors, ids, rows, prefix="bert."):
    kinds = ("word", "position", "token_type")
    words, positions, types = (np.float64(tensors[f"{prefix}embeddings.{kind}_embeddings.weight"]) for kind in kinds)
    x = words[ids] + positions[rows] + types[0]
    x -= x.mean(axis=1, keepdims=True)
    return x / np.linalg.norm(x, axis=1, keepdims=True)


@pytest.mark.parametrize("prefix", ["", "bert.", "model.encoder_of_mine."])
@pytest.mark.parametrize("gain", ["weight", "gamma"])
@pytest.mark.parametrize("kind", ["F32", "F16", "F64", "BF16"])
def test_names_and_types_of_published_files_are_read(kind, gain, prefix, tmp_path):
    tensors = bert(prefix, gain=gain)
    path = put(tmp_path / "m", {"w": np.ones(1)}, SIZES | {"model_type": "bert"})
    if kind == "BF16":
        tensors = in_bfloat16(path, tensors)
    else:
        floats = {"F16": np.float16, "F32": np.float32, "F64": np.float64}[kind]
        tensors = {name: one if one.dtype.kind == "i" else one.astype(floats) for name, one in tensors.items()}
        put(tmp_path / "m", tensors)
    for given in (path, path.parent):
        assert_is(read_checkpoint(given).layers(), tensors, prefix, gain)
    if kind == "BF16":  # the numbers of the file, no less
        query = read_checkpoint(path).query.reshape(L, D, D)
        assert np.array_equal(query[2], tensors[f"{prefix}encoder.layer.2.attention.self.query.weight"])


@pytest.mark.parametrize("of", [2, 5])
def test_a_model_in_parts_is_read_whole_whatever_is_named(of, tmp_path):
    tensors, folder = bert(), tmp_path / "m"
    folder.mkdir()
    index = in_parts(folder, tensors, of)
    (folder / "config.json").write_text(json.dumps(SIZES))
    parts = sorted(folder.glob("model-*.safetensors"))
    for given in (folder, index, *parts):
        with noted() as read:
            assert_is(read_checkpoint(given).layers(), tensors)
        assert {*read} == {index, folder / "config.json", *parts}
    parts[-1].unlink()
    for given in (folder, index, parts[0]):
        with pytest.raises(ValueError, match=rf"names {parts[-1].name}, which is not beside it; all parts"):
            read_checkpoint(given)
    index.unlink()
    with pytest.raises(ValueError, match=rf"is one of {of} parts of a model, and no index beside it names them"):
        read_checkpoint(parts[0])


def test_an_index_that_does_not_fit_is_refused(tmp_path):
    folder, tensors = tmp_path / "m", bert()
    folder.mkdir()
    index = in_parts(folder, tensors)
    names = json.loads(index.read_text())["weight_map"]
    for weight_map, told in (
        (names | {"bert.more": next(iter(names.values()))}, r"tensor bert\.more is not in model-0000"),
        (names | {"bert.more": "../model.safetensors"}, "weight_map must give the name of a safetensors file in"),
        (dict.fromkeys(names, ""), "weight_map must give"),
        (dict.fromkeys(names, ".."), "weight_map must give"),
        (dict(list(names.items())[1:]), r"holds the tensor .*, and model\.safetensors\.index\.json does not name it"),
        ([], "weight_map must give"),
        ({}, "weight_map must give"),
    ):
        index.write_text(json.dumps({"weight_map": weight_map}))
        with pytest.raises(ValueError, match=told):
            read_checkpoint(index, M)
    index.write_text(json.dumps({"weight_map": names}))
    name, place = next(iter(names.items()))
    other = folder / next(file for file in names.values() if file != place)
    safetensors.numpy.save_file(safetensors.numpy.load_file(other) | {name: tensors[name]}, other)
    with pytest.raises(ValueError, match=rf"holds the tensor {re.escape(name)}, and .* places it in {place}"):
        read_checkpoint(folder, M)
    index.write_text("[")
    with pytest.raises(ValueError, match=r"index\.json: must be a JSON object"):
        read_checkpoint(folder, M)


@pytest.mark.parametrize(
    ("layers", "config", "told"),
    [
        ((0, 1), SIZES, "layers 2, 3 are missing of the 4 that config.json counts; a part of a model is not the model"),
        ((0, 1, 3), SIZES, "layer 2 is missing of the 4"),
        ((0, 1, 3), {"num_attention_heads": M}, "layer 2 is missing; a part"),
        ((2, 3), SIZES, "layers 0, 1 are missing of the 4"),
        (range(L), SIZES | {"num_hidden_layers": 3}, "has 4 layers, config.json counts 3"),
        (range(L), SIZES | {"num_hidden_layers": 10**9}, "missing of the 1000000000"),
        (range(L), SIZES | {"num_hidden_layers": "4"}, "num_hidden_layers must be a whole number, got '4'"),
        (range(L), SIZES | {"hidden_size": 24}, "has d = 12, config.json has 24"),
        (range(L), SIZES | {"head_dim": 6}, "heads have 4 rows, by config.json 6"),
        (range(L), SIZES | {"num_attention_heads": 5}, "n_heads must divide the 12 rows"),
        (range(L), {"num_hidden_layers": L}, "the number of heads is not in a config.json"),
    ],
)
def test_counts_are_those_of_the_configuration(layers, config, told, tmp_path):
    with pytest.raises(ValueError, match=re.escape(told)) as caught:
        read_checkpoint(put(tmp_path / "m", bert(layers=layers), config))
    assert "\n" not in str(caught.value)


def test_heads_that_are_given_must_be_those_of_the_configuration(tmp_path):
    path = put(tmp_path / "m", bert(), SIZES)
    assert read_checkpoint(path, M).query.shape[1] == M
    with pytest.raises(ValueError, match=r"n_heads = 4, config\.json has 3"):
        read_checkpoint(path, 4)
    path.with_name("config.json").unlink()
    assert read_checkpoint(path, 4).query.shape[1] == 4


@pytest.mark.parametrize(
    ("more", "told"),
    [
        ({"model_type": "gpt_neo"}, "model_type is 'gpt_neo'; taken are encoders with norms behind their blocks"),
        ({"model_type": "esm"}, "model_type is 'esm'"),
        ({"model_type": "big_bird", "attention_type": "block_sparse"}, "model_type is 'big_bird'"),
        ({"attention_type": "block_sparse"}, "attention_type = 'block_sparse'; attention within a window"),
        ({"attention_window": [64] * L}, "attention_window = "),
        ({"sliding_window": 128}, "sliding_window = '128'; attention within a window is another model"),
        ({"position_embedding_type": "relative_key"}, "scores that depend on distances are another model"),
        ({"position_embedding_type": "alibi"}, "scores that depend on distances are another model"),
        ({"rope_theta": 10000.0}, "rope_theta = '10000.0'; scores that depend on distances"),
        ({"is_decoder": True}, "is_decoder = 'True'; a causal mask is another model"),
        ({"causal": True}, "causal = 'True'; a causal mask is another model"),
        ({"is_encoder_decoder": True}, "a decoder is another model"),
        ({"add_cross_attention": True}, "attention to other tokens is another model"),
        ({"num_key_value_heads": 1}, "num_key_value_heads = '1'; heads with shared keys are another model"),
        ({"pruned_heads": {"0": [1]}}, "layers with heads taken away are not read"),
        ({"quantization_config": {"bits": 4}}, "quantised matrices are not read"),
        ({"auto_map": {"AutoModel": "mine.Model"}}, "a model with code of its own may be any model"),
        ({"model_type": "electra", "embedding_size": 6}, "embedding_size = 6, hidden_size = 12; embeddings that"),
    ],
)
def test_what_the_configuration_says_is_another_model_is_refused(more, told, tmp_path):
    path = put(tmp_path / "m", bert(), SIZES | more)
    for read in (read_checkpoint, lambda given: read_embedded(given, [1, 2])):
        with pytest.raises(ValueError, match=re.escape(told)) as caught:
            read(path)
        assert str(caught.value).startswith(f"{path.with_name('config.json')}: ")
        assert "\n" not in str(caught.value)


def test_plain_settings_of_an_encoder_change_nothing(tmp_path):
    tensors = bert()
    plain = {"position_embedding_type": "absolute", "is_decoder": False, "sliding_window": None, "pruned_heads": {}}
    plain |= {"add_cross_attention": False, "num_key_value_heads": M, "head_dim": D // M, "embedding_size": D}
    assert_is(read_checkpoint(put(tmp_path / "m", tensors, SIZES | plain)).layers(), tensors)


@pytest.mark.parametrize(
    "name",
    [
        "bert.encoder.layer.1.attention.self.distance_embedding.weight",  # relative positions
        "bert.encoder.layer.1.attention.self.query_global.weight",  # windows
        "bert.encoder.layer.1.crossattention.self.query.weight",
        "bert.encoder.layer.1.attention.self.query.lora_A.default.weight",
        "bert.encoder.layer.1.attention.self.q_norm.weight",
        "bert.encoder.layer.1.attention.LayerNorm.weight",  # norms in front of blocks
        "bert.encoder.layer.1.output.adapters.mine.down.weight",
        "bert.encoder.relative_attention_bias.weight",
        "bert.encoder.LayerNorm.weight",
        "bert.embeddings.task_type_embeddings.weight",
        "bert.embeddings_project.weight",
        "decoder.layers.0.self_attn.q_proj.weight",
    ],
)
def test_tensors_that_would_not_be_read_are_named(name, tmp_path):
    path = put(tmp_path / "m", bert() | {name: matrix(D)}, SIZES)
    for read in (read_checkpoint, lambda given: read_embedded(given, [1, 2])):
        with pytest.raises(ValueError, match=re.escape(f"it has tensors that would not be read ({name})")):
            read(path)


def test_shared_keys_are_told_without_a_configuration(tmp_path):
    with pytest.raises(ValueError, match="6 rows of key for 12 of query: heads with shared keys are another model"):
        read_checkpoint(put(tmp_path / "m", bert(key_rows=D // 2)), M)


def test_types_that_cannot_be_read_are_named(tmp_path):
    tensors, name = bert(), "bert.encoder.layer.0.attention.self.query.weight"
    path = put(tmp_path / "m", tensors | {name: np.ones((D, D), np.int8)}, SIZES)
    with pytest.raises(ValueError, match=re.escape(f"{name} must hold real numbers over 2 axes, got int8(12, 12)")):
        read_checkpoint(path)
    whole = path.read_bytes().replace(b'"I8"', b'"F8_E4M3"')  # one byte each as well
    (length,) = struct.unpack("<Q", whole[:8])
    path.write_bytes(struct.pack("<Q", length + 5) + whole[8:])
    with pytest.raises(ValueError, match=re.escape(f"tensor {name} has the type F8_E4M3, which numpy lacks")):
        read_checkpoint(path)
    both = bert() | {"bert.embeddings.LayerNorm.gamma": np.ones(D)}
    with pytest.raises(ValueError, match=r"has both bert\.embeddings\.LayerNorm\.weight and bert\.embeddings\.Lay"):
        read_checkpoint(put(tmp_path / "m", both))


@pytest.mark.parametrize("kind", ["roberta", "xlm-roberta", "camembert"])
def test_positions_of_roberta_begin_behind_the_row_of_padding(kind, tmp_path):
    tensors = bert("roberta.")
    ids = np.array([0, 21, 7, 19, 2])
    for padding, config in ((1, {}), (1, {"pad_token_id": 1}), (3, {"pad_token_id": 3})):
        path = put(tmp_path / "m", tensors, SIZES | {"model_type": kind} | config)
        rows = np.arange(len(ids)) + padding + 1
        assert np.abs(read_embedded(path, ids).points - embedded(tensors, ids, rows, "roberta.")).max() < 1e-12
    with pytest.raises(ValueError, match="ids must be 1 to 16 whole numbers"):
        read_embedded(path, [5] * 17)
    path.with_name("config.json").unlink()  # the prefix tells
    assert np.abs(read_embedded(path, ids).points - embedded(tensors, ids, range(2, 7), "roberta.")).max() < 1e-12
    with_padding = np.array([5, 1, 1, 6])
    expected = embedded(tensors, with_padding, [2, 1, 1, 3], "roberta.")
    assert np.abs(read_embedded(path, with_padding).points - expected).max() < 1e-12


@pytest.mark.parametrize("kind", ["bert", "electra", None])
def test_positions_of_bert_begin_at_row_0(kind, tmp_path):
    tensors, ids = bert(), np.array([0, 21, 7, 19, 2])
    path = put(tmp_path / "m", tensors, SIZES | ({} if kind is None else {"model_type": kind}) | {"pad_token_id": 0})
    assert np.abs(read_embedded(path, ids).points - embedded(tensors, ids, range(5))).max() < 1e-12


def test_positions_that_nothing_tells_are_refused(tmp_path):
    """One row of token types is RoBERTa's way; without prefix and model_type it may be either."""
    tensors = bert("") | {"embeddings.token_type_embeddings.weight": matrix(1)}
    path = put(tmp_path / "m", tensors, SIZES)
    assert_is(read_checkpoint(path).layers(), tensors, "")
    with pytest.raises(ValueError, match=r"no model_type in config\.json to tell which"):
        read_embedded(path, [1, 2])


def test_a_folder_without_one_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"must hold model\.safetensors or .* has no safetensors file; name the file"):
        read_checkpoint(tmp_path)
    for name in "ab":
        put(tmp_path, bert(), SIZES, f"{name}.safetensors")
    with pytest.raises(ValueError, match=r"has a\.safetensors, b\.safetensors; name the file"):
        read_checkpoint(tmp_path)
    assert read_checkpoint(tmp_path / "a.safetensors").query.shape[0] == L
