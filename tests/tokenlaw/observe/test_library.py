"""Real networks of the library, tiny ones of its configuration classes; `make networks` installs what they need."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from particles import read_checkpoint, read_embedded, simulate
from particles.networks import embeddings_of, network_of
from tests.networks_library import compared, of_chain, of_library
from tests.tokenlaw.calls import call
from tokenlaw.observe.blocks import look
from tokenlaw.observe.door import networks
from tokenlaw.observe.model import open_model

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

N, LAYERS, D = 9, 3, 32
USUAL = {"hidden_size": D, "intermediate_size": 64, "num_hidden_layers": LAYERS, "num_attention_heads": 4}
ENDS = {"vocab_size": 60, "initializer_range": 0.15, "bos_token_id": 0, "eos_token_id": 1}
WORDS = ENDS | {"max_position_embeddings": 40}
SHARED = USUAL | WORDS | {"num_key_value_heads": 2}
FAMILIES = {
    "gpt2": ("GPT2Config", ENDS | {"n_embd": D, "n_head": 4, "n_layer": LAYERS, "n_positions": 40}),
    "llama": ("LlamaConfig", SHARED), "qwen2": ("Qwen2Config", SHARED), "mistral": ("MistralConfig", SHARED),
    "qwen3": ("Qwen3Config", SHARED | {"head_dim": 8}),
    "gemma": ("GemmaConfig", SHARED | {"head_dim": 8, "num_key_value_heads": 1}),
    "bert": ("BertConfig", USUAL | WORDS), "roberta": ("RobertaConfig", USUAL | WORDS),
    "vit": ("ViTConfig", USUAL | {"image_size": 8, "patch_size": 4, "initializer_range": 0.15}),
}  # fmt: skip
ENCODERS = ("bert", "roberta", "vit")


def network(kind, seed=0):
    name, keys = FAMILIES[kind]
    torch.manual_seed(seed)
    return transformers.AutoModel.from_config(getattr(transformers, name)(**keys), attn_implementation="eager").eval()


@pytest.fixture(name="models", scope="module")
def model_folders(tmp_path_factory):
    root = tmp_path_factory.mktemp("models")
    with networks():
        for kind in FAMILIES:
            network(kind).save_pretrained(root / kind)
    (root / "ids.txt").write_text(", ".join(map(str, range(10, 10 + N))))
    np.save(root / "pixels.npy", np.random.default_rng(0).standard_normal((3, 8, 8)))
    return root


def given(models, kind):
    return ["--pixels", models / "pixels.npy"] if kind == "vit" else ["--ids", models / "ids.txt"]


def arguments(models, kind):
    if kind == "vit":
        return {"pixel_values": torch.tensor(np.load(models / "pixels.npy"), dtype=torch.float32)[None]}
    return {"input_ids": torch.arange(10, 10 + N)[None]}


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_file_holds_what_the_library_says_between_its_blocks(kind, models, tmp_path):
    out = tmp_path / "f.nc"
    assert call("observe", models / kind, *given(models, kind), "--out", out, "--networks", 2, "--seed", 3) == 0
    plain = transformers.AutoModel.from_pretrained(models / kind, attn_implementation="eager").eval()
    with torch.no_grad():
        told = plain(**arguments(models, kind), output_hidden_states=True, output_attentions=True)
    with xr.open_dataset(out) as found:
        stream = found.tokens.values * found.radius.values[:, :, None]
        assert found.sizes["depth_time"] == LAYERS + 1
        for k in range(LAYERS):  # the library's last state is behind its last norm
            assert np.abs(stream[k] - told.hidden_states[k][0].numpy()).max() < 1e-5
        last = torch.tensor(stream[-1], dtype=torch.float32)
        norm = {"gpt2": "ln_f", "vit": "layernorm"}.get(kind, "norm")
        behind = last if kind in ("bert", "roberta") else getattr(plain, norm)(last)
        assert np.abs(behind.detach().numpy() - told.last_hidden_state[0].numpy()).max() < 1e-4
        for k, weights in enumerate(told.attentions):
            w = weights[0].double().numpy()
            entropy = -np.where(w > 0, w * np.log(np.where(w > 0, w, 1)), 0).sum(axis=-1)
            assert found.attention_entropy.values[k + 1] == pytest.approx(entropy.mean(), abs=1e-6)
            assert found.effective_keys.values[k + 1] == pytest.approx((1 / (w**2).sum(axis=-1)).mean(), rel=1e-6)
        assert found.attrs["model_type"] == kind
        assert found.attrs["revision"].count("\n") == 1  # config.json and one safetensors file
        assert found.attrs["reinit"] == 0
        assert np.isfinite(found.forecast_gradient.values).all()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert"])
def test_the_score_deviation_is_that_of_scores(kind, models):
    """From the weights, against queries and keys of the first block written out where there are no rotary positions."""
    with networks() as (torch_, library):
        model = open_model(models / kind, torch_, library)
        net = model.given()
        seen = look(model, net, arguments(models, kind), 0)
    if kind == "llama":
        assert np.all(seen.attention[:, 0] > 0)
        return
    x = torch.tensor(seen.tokens[0], dtype=torch.float32)
    with torch.no_grad():
        if kind == "gpt2":
            q, k, _ = net.h[0].attn.c_attn(net.h[0].ln_1(x)).split(D, dim=1)
        else:
            part = net.encoder.layer[0].attention.self
            q, k = part.query(x), part.key(x)
    q, k = (one.double().numpy().reshape(N, 4, D // 4).transpose(1, 0, 2) for one in (q, k))
    scores = q @ k.transpose(0, 2, 1) / np.sqrt(D // 4)
    rows = [scores[h, i, : i + 1 if kind == "gpt2" else N] for h in range(4) for i in range(N)]
    assert seen.attention[0, 0] == pytest.approx(np.sqrt(np.mean([row.var() for row in rows])), rel=1e-4)


@pytest.mark.parametrize("kind", ["gpt2", "qwen3", "roberta"])
def test_the_gradient_is_that_of_finite_differences(kind, models):
    """E_P |J^T P|^2 / |P|^2 = |J|_F^2/(n d), J by central differences of the blocks from the k-th on."""
    with networks() as (torch_, library):
        model = open_model(models / kind, torch_, library)
        net = model.given().double()
        seen = look(model, net, arguments(models, kind), 0, directions=64)
        k, step, columns = 1, 1e-4, []
        blocks = net.h if kind == "gpt2" else net.layers if kind == "qwen3" else net.encoder.layer
        start, shift, last = torch.tensor(seen.tokens[k]), torch.zeros(N, D, dtype=torch.float64), {}
        blocks[k].register_forward_pre_hook(lambda _, a: ((start + shift)[None], *a[1:]))
        blocks[-1].register_forward_hook(lambda _, __, out: last.update(x=(out[0] if isinstance(out, tuple) else out)))
        for one in np.random.default_rng(0).choice(N * D, 60, replace=False):
            ends = []
            for sign in (1, -1):
                shift.zero_().view(-1)[one] = sign * step
                with torch_.no_grad():
                    net(**arguments(models, kind))
                ends.append(last["x"].reshape(N, D).clone())
            columns.append(float(((ends[0] - ends[1]) / (2 * step)).square().sum()))
    error = np.std(columns) / np.sqrt(len(columns))
    assert abs(seen.gradient[k] - np.mean(columns)) < 4 * error + 0.05 * seen.gradient[k]


@pytest.mark.parametrize("kind", FAMILIES)
def test_a_configuration_object_and_its_file_make_one_network(kind, models):
    settings = json.loads((models / kind / "config.json").read_text())
    with networks() as (torch_, library):
        config = open_model(models / kind, torch_, library).config
    assert network_of(settings, N) == network_of(config, N)
    assert network_of(config, N).attention.causal == (kind not in ENCODERS)
    assert embeddings_of(settings, 5 if kind == "vit" else N).tokens == (5 if kind == "vit" else N)


@pytest.mark.parametrize("kind", FAMILIES)
def test_chain_and_library_agree(kind, models):
    """80 fresh networks of the library against 80 of the chain: |z| < 4.5 for every curve at every layer."""
    name, keys = FAMILIES[kind]
    with networks():
        config = getattr(transformers, name)(**keys)
    words = np.load(models / "pixels.npy") if kind == "vit" else np.arange(10, 10 + N)
    rows = compared(of_library(config, words, 80), of_chain(config, words, 80))
    assert {key: row["largest_in_errors"] for key, row in rows.items() if row["largest_in_errors"] > 4.5} == {}


def test_fresh_networks_have_seeds_of_their_own(models, tmp_path):
    files = [tmp_path / f"{k}.nc" for k in range(3)]
    for out, seed in zip(files, (0, 0, 1), strict=True):
        words = ["observe", models / "gpt2", *given(models, "gpt2"), "--out", out, "--reinit", 3, "--seed", seed]
        assert call(*words) == 0
    first, again, other = (xr.load_dataset(out) for out in files)
    assert first.attrs["reinit"] == 3
    xr.testing.assert_identical(first, again)
    assert len(np.unique(first.reinit_overlap.values[-1])) == 3
    assert not np.isin(other.reinit_overlap.values[-1], first.reinit_overlap.values[-1]).any()
    assert np.array_equal(other.overlap, first.overlap)


def test_a_text_is_cut_by_the_tokenizer_of_the_folder(models, tmp_path):
    tokenizers = pytest.importorskip("tokenizers")
    folder, text = tmp_path / "m", tmp_path / "text.txt"
    shutil.copytree(models / "llama", folder)
    text.write_text("b a c a b b")
    words = ["observe", folder, "--text", text, "--out", tmp_path / "f.nc", "--networks", 0]
    assert call(*words) == 2  # no tokenizer yet
    cut = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 5, "b": 6, "c": 7, "?": 8}, unk_token="?"))
    cut.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(tokenizer_object=cut, unk_token="?").save_pretrained(folder)
    assert call(*words) == 0
    found = xr.load_dataset(tmp_path / "f.nc")
    assert found.token_id.values.tolist() == [6, 5, 7, 5, 6, 6]
    assert "  tokenizer.json\n" in found.attrs["revision"]
    assert call(*words, "--context", 4) == 0
    assert xr.load_dataset(tmp_path / "f.nc").token_id.values.tolist() == [6, 5, 7, 5]


def test_what_no_chain_stands_for_is_still_looked_at(tmp_path, models, capsys):
    config = transformers.GPTNeoXConfig(**USUAL, vocab_size=60, max_position_embeddings=40)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "m")
    out = tmp_path / "f.nc"
    capsys.readouterr()
    assert call("observe", tmp_path / "m", *given(models, "gpt2"), "--out", out, "--reinit", 1) == 0
    assert capsys.readouterr().err.startswith("no forecast of gpt_neox: model_type must be one of ")
    found = xr.load_dataset(out)
    assert "forecast_overlap" not in found
    assert np.isfinite(found.reinit_effective_keys.values[1:]).all()


@pytest.mark.parametrize("kind", ["gpt2", "llama", "qwen2", "mistral"])
def test_the_attention_that_is_read_is_that_of_the_library(kind, models, tmp_path):
    """Of a network whose MLP blocks give 0; fused, shared, rotary and in a window as the library has them."""
    name, keys = FAMILIES[kind]
    keys = keys | {"layer_norm_epsilon" if kind == "gpt2" else "rms_norm_eps": 1e-10}
    config = getattr(transformers, name)(**keys | ({"sliding_window": 4} if kind == "mistral" else {}))
    net = transformers.AutoModel.from_config(config, attn_implementation="eager").eval().requires_grad_(False)
    for part, tensor in net.named_parameters():
        if part.endswith(("mlp.c_proj.weight", "mlp.down_proj.weight")):
            tensor.zero_()
        elif "norm.weight" in part or "ln_1.weight" in part or "layernorm.weight" in part:
            tensor.uniform_(0.5, 1.5)
    net.save_pretrained(tmp_path)
    told = net(**arguments(models, kind), output_hidden_states=True).hidden_states[:LAYERS]
    run = simulate(read_embedded(tmp_path, range(10, 10 + N)), read_checkpoint(tmp_path).layers(), n_steps=LAYERS)
    for k, state in enumerate(told):
        x = state[0].double().numpy()
        x = x - x.mean(axis=1, keepdims=True) if kind == "gpt2" else x
        seen = run.tokens.values[k] * run.radius.values[k][:, None]
        assert np.abs(seen - x).max() < 1e-5 * np.abs(x).max()


# --- refused, each in one line


def changed(models, tmp_path, kind="gpt2", **keys):
    """A copy of a model with other keys in its config.json; None takes one away."""
    folder = tmp_path / "m"
    shutil.copytree(models / kind, folder)
    settings = json.loads((folder / "config.json").read_text()) | keys
    kept = {key: value for key, value in settings.items() if value is not None}
    (folder / "config.json").write_text(json.dumps(kept))
    return folder


def pickled(models, tmp_path):
    folder = changed(models, tmp_path)
    (folder / "model.safetensors").unlink()
    torch.save({}, folder / "pytorch_model.bin")
    return folder


def without_weights(models, tmp_path):
    folder = changed(models, tmp_path)
    (folder / "model.safetensors").unlink()
    return folder


def without_a_tensor(models, tmp_path):
    from safetensors.torch import load_file, save_file

    folder = changed(models, tmp_path)
    tensors = load_file(folder / "model.safetensors")
    del tensors["h.1.mlp.c_fc.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    return folder


def truncated(models, tmp_path):
    folder = changed(models, tmp_path)
    content = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(content[: len(content) // 2])
    return folder


def encoder_decoder(models, tmp_path):
    config = transformers.T5Config(vocab_size=60, d_model=D, d_kv=8, d_ff=64, num_layers=2, num_heads=4)
    transformers.AutoModel.from_config(config).save_pretrained(tmp_path / "m")
    return tmp_path / "m"


REFUSED = {
    "no folder": (lambda models, tmp_path: tmp_path / "none", "must be the folder of a model"),
    "an empty folder": (lambda models, tmp_path: tmp_path, "has no config.json"),
    "a pickle": (pickled, "pytorch_model.bin is a pickle, which may run any code"),
    "no weights": (without_weights, "has no safetensors file"),
    "a tensor is missing": (without_a_tensor, "tensor h.1.mlp.c_fc.weight of gpt2 is missing"),
    "half a file": (truncated, "the library cannot load it"),
    "code of its own": (lambda *where: changed(*where, auto_map={"AutoModel": "x.Y"}), "auto_map names code"),
    "another size": (lambda *where: changed(*where, n_embd=64), "the library cannot load it"),
    "an unknown kind": (lambda *where: changed(*where, model_type="nothing"), "model_type 'nothing' is not taken by"),
    "no kind": (lambda *where: changed(*where, model_type=None), "must be a JSON object that has a model_type"),
    "two stacks": (encoder_decoder, "is_encoder_decoder; taken are models of one stack"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_a_model_that_is_not_taken_is_one_line(what, models, tmp_path, capsys):
    make, text = REFUSED[what]
    folder, out = make(models, tmp_path), tmp_path / "o.nc"
    capsys.readouterr()
    assert call("observe", folder, *given(models, "gpt2"), "--out", out, "-q") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert text in said[0]
    assert not out.exists()


@pytest.mark.parametrize(
    ("kind", "option", "content", "text"),
    [
        ("gpt2", "--ids", "1 2 sixty", "must hold whole numbers between blanks or commas"),
        ("gpt2", "--ids", "1 -2 3", "must hold whole numbers"),
        ("gpt2", "--ids", "7", "must give at least two tokens, got 1"),
        ("gpt2", "--ids", "", "must give at least two tokens, got 0"),
        ("gpt2", "--ids", "1 2 60", "numbers must be from 0 to 59, got 1 to 60"),
        ("gpt2", "--ids", "1 " + "9" * 30, "holds a number of 30 digits"),
        ("gpt2", "--ids", "3 " * 41, "has 41 tokens, gpt2 takes at most 40; --context 40 takes the first of them"),
        ("vit", "--ids", "1 2 3", "vit has no vocabulary; give --pixels F.npy"),
        ("gpt2", "--pixels", np.zeros((3, 8, 8)), "gpt2 takes no pixels (no image_size); give --ids or --text"),
        ("vit", "--pixels", np.zeros((3, 9, 8)), "vit takes pixels of shape (3, 8, 8), got (3, 9, 8)"),
        ("vit", "--pixels", np.full((3, 8, 8), np.nan), "must hold finite numbers (channel, row, column)"),
        ("vit", "--pixels", "no array", "is no .npy file of numbers"),
        ("gpt2", "--ids", np.zeros(5), "must hold whole numbers in a row, got float64(5,)"),
        ("gpt2", "--ids", np.array([{}, 1], dtype=object), "is no .npy file of numbers"),
    ],
)
def test_what_a_network_cannot_be_given_is_one_line(kind, option, content, text, models, tmp_path, capsys):
    path = tmp_path / ("given.npy" if not isinstance(content, str) or option == "--pixels" else "given.txt")
    if isinstance(content, str):
        path.write_text(content)
    else:
        np.save(path, content, allow_pickle=True)
    assert call("observe", models / kind, option, path, "--out", tmp_path / "o.nc") == 2
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1
    assert text in said[0]


def test_numbers_of_words_in_other_forms(models, tmp_path):
    for name, content in (("a.txt", "[1, 2,\n 3]"), ("b.npy", np.array([1, 2, 3], dtype=np.int32))):
        path = tmp_path / name
        path.write_text(content) if isinstance(content, str) else np.save(path, content)
        assert call("observe", models / "gpt2", "--ids", path, "--out", tmp_path / "f.nc", "--networks", 0) == 0
        assert xr.load_dataset(tmp_path / "f.nc").token_id.values.tolist() == [1, 2, 3]


def test_weights_in_several_parts_and_in_half_precision(models, tmp_path):
    whole = transformers.AutoModel.from_pretrained(models / "llama")
    whole.to(torch.bfloat16).save_pretrained(tmp_path / "m", max_shard_size="20KB")
    assert len(list((tmp_path / "m").glob("*.safetensors"))) > 1
    for folder, out in ((models / "llama", "a.nc"), (tmp_path / "m", "b.nc")):
        assert call("observe", folder, *given(models, "llama"), "--out", tmp_path / out, "--networks", 0) == 0
    a, b = (xr.load_dataset(tmp_path / name) for name in ("a.nc", "b.nc"))
    assert np.abs(a.tokens - b.tokens).max() < 0.05
    assert len(b.attrs["revision"].splitlines()) == 2 + len(list(Path(tmp_path / "m").glob("*.safetensors")))
