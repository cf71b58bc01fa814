"""S-CMRL against its equations: attention, its forms over time, the alignment loss, and what is trained."""

import itertools

import pytest
import torch
from s_cmrl_networks import T, lively, pictures
from torch import nn

from snnfuse.hardware.errors import InputError
from snnfuse.networks import run, run_folded
from snnfuse.networks.s_cmrl import LossSettings, alignment_loss
from snnfuse.networks.s_cmrl.attention import over_steps, over_tokens, products_over_steps
from snnfuse.networks.s_cmrl.config import BINARY, FUSIONS, PROPOSED


def spikes(*shape: int, seed: int = 0) -> torch.Tensor:
    return (torch.rand(*shape, generator=torch.Generator().manual_seed(seed)) < 0.4).float()


@pytest.mark.parametrize("kv_first", [False, True])
def test_attention_over_tokens_is_its_sum(kv_first: bool) -> None:
    batch, heads, depth, tokens = 2, 3, 4, 5
    q, k, v = (spikes(batch, heads, depth, tokens, seed=i) for i in range(3))
    expected = torch.zeros(batch, heads, depth, tokens)
    for b, h, n, m in itertools.product(range(batch), range(heads), range(tokens), range(tokens)):
        expected[b, h, :, n] += int((q[b, h, :, n] * k[b, h, :, m]).sum()) * v[b, h, :, m]
    assert torch.equal(over_tokens(q, k, v, kv_first), expected) and expected.max() > 2


def test_attention_over_steps_is_its_sum() -> None:
    q, k, v = (spikes(T, 2, 3, 4, 5, seed=i) for i in range(3))  # time, batch, heads, depth, tokens
    expected = torch.einsum("tbhdn,sbhdn,sbhen->tbhen", q, k, v)
    products = products_over_steps(k.flatten(0, 1), v.flatten(0, 1)).unflatten(0, (T, 2)).sum(0)
    assert torch.equal(torch.stack([over_steps(q[t], products) for t in range(T)]), expected) and expected.max() > 2


def test_binary_attention_lets_keys_of_a_head_through_where_any_query_of_it_fires() -> None:
    model = lively(fusion="query-key")
    own, other = (spikes(3, 16, 2, 2, seed=i) + spikes(3, 16, 2, 2, seed=i + 2) for i in range(2))  # tokens 0..2
    part, seen = model.of_image, {}
    part.project.register_forward_hook(lambda _, inputs, __: seen.update(masked=inputs[0]))
    part.q.register_forward_hook(lambda _, __, output: seen.update(q=output))
    part.k.register_forward_hook(lambda _, __, output: seen.update(k=output))
    for _ in range(T):  # the mask remembers nothing of earlier steps
        part(own, other)
        q, k = (seen[name].reshape(3, 2, 8, 4) for name in "qk")
        assert torch.equal(seen["masked"].reshape(3, 2, 8, 4), q.amax(2, keepdim=True) * k)
    assert 0 < seen["masked"].sum() < seen["k"].sum()


@pytest.mark.parametrize("order", ["qk-first", "kv-first"])
def test_the_order_of_products_changes_nothing(order: str) -> None:
    model = lively()
    other = lively(order=order)
    assert torch.equal(run(model, *pictures(model)), run(other, *pictures(other)))


def test_the_cheaper_order_is_chosen() -> None:
    assert lively(heads=4).late.image.spatial.kv_first, "2 x 2 tokens, depth 4"
    assert not lively().late.image.spatial.kv_first, "2 x 2 tokens, depth 8"
    assert lively(order="kv-first").late.image.spatial.kv_first


@pytest.mark.parametrize("fusion", PROPOSED)
def test_a_causal_output_depends_on_no_later_input(fusion: str) -> None:
    model = lively(fusion=fusion)
    first, other = pictures(model), pictures(model, seed=2)
    outputs = run(model, *first)
    for t in range(1, T):
        changed = [torch.cat((x[:t], y[t:])) for x, y in zip(first, other, strict=True)]
        assert torch.equal(run(model, *changed)[:t], outputs[:t])
        assert not torch.equal(run(model, *changed)[t], outputs[t])


@pytest.mark.parametrize("fusion", ["spatio-temporal", "temporal"])
def test_an_exact_output_depends_on_later_inputs(fusion: str) -> None:
    model = lively(fusion=fusion, attention="exact")
    first, other = pictures(model), pictures(model, seed=2)
    changed = [torch.cat((x[:-1], y[-1:])) for x, y in zip(first, other, strict=True)]
    assert not torch.equal(run(model, *changed)[0], run(model, *first)[0])


def direct(model: nn.Module, image: torch.Tensor, audio: torch.Tensor) -> torch.Tensor:
    """The exact form written over all steps at once, without stages, from the network's own layers: attention is one einsum each."""
    c, early, late = model.config, model.early, model.late
    seen, heard = (sum(run(m, x)) for m, x in ((early.image, image), (early.audio, audio)))

    def heads(x: torch.Tensor) -> torch.Tensor:
        return x.reshape(T, -1, c.heads, c.depth, c.tokens)

    def residual(own: torch.Tensor, other: torch.Tensor, read: nn.Module, attended: nn.Module, part: nn.Module) -> torch.Tensor:
        q, k, v = (heads(run(m, x)) for m, x in ((read.q, own), (read.k, other), (read.v, other)))
        temporal = run(attended, torch.einsum("tbhdn,sbhdn,sbhen->tbhen", q, k, v))
        found = temporal
        if c.fusion == "spatio-temporal":
            s = part.spatial
            q, k, v = (heads(run(m, x)) for m, x in ((s.read.q, own), (s.read.k, other), (s.read.v, other)))
            spatial = run(s.attended, torch.einsum("tbhdn,tbhdm,tbhem->tbhen", q, k, v))
            found = spatial.mean((3, 4), keepdim=True) * temporal.mean(0)
        return run(nn.Sequential(part.mix, part.neurons), found)

    r = residual(seen, heard, early.image_temporal.read, model.middle.image, late.image)
    s = residual(heard, seen, early.audio_temporal.read, model.middle.audio, late.audio)
    seen, heard = seen + c.alpha * r, heard + c.alpha * s
    both = (seen + run(late.image_mlp, seen)) + (heard + run(late.audio_mlp, heard))
    assert 0 < r.mean() < 1 and 0 < s.mean() < 1, "a residual that says nothing would prove nothing"
    return run(late.head, both)


@pytest.mark.parametrize("fusion", ["spatio-temporal", "temporal"])
def test_exact_stages_equal_the_form_over_all_steps(fusion: str) -> None:
    model = lively(fusion=fusion, attention="exact")
    x = pictures(model)
    with torch.no_grad():
        assert torch.equal(run(model, *x), direct(model, *x))


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("attention", ["causal", "exact"])
def test_folded_time_gives_the_same_scores(fusion: str, attention: str) -> None:
    model = lively(fusion=fusion, attention=attention)
    x = pictures(model)
    with torch.no_grad():
        torch.testing.assert_close(run(model, *x), run_folded(model, *x), rtol=0, atol=1e-5)  # the head's sums may be rounded differently


@pytest.mark.parametrize("fusion", PROPOSED)
def test_a_checkpoint_of_one_form_is_one_of_the_other(fusion: str) -> None:
    causal, exact = lively(fusion=fusion), lively(seed=1, fusion=fusion, attention="exact")
    exact.load_state_dict(causal.state_dict())
    again = lively(seed=2, fusion=fusion)
    again.load_state_dict(exact.state_dict())
    x = pictures(causal)
    assert torch.equal(run(again, *x), run(causal, *x))


def test_in_the_last_step_causal_sums_are_those_over_all_steps() -> None:
    causal = lively(fusion="temporal")
    with torch.no_grad():
        early = run(causal.early, *pictures(causal))
    products = early[5]
    assert torch.equal(run(causal.image_sum, products)[-1], products.sum(0)) and products.any()


@pytest.mark.parametrize("threshold, legacy, fewest", [(0.5, False, 5), (0.5, True, 8), (1.0, False, 9)])
def test_the_threshold_of_attention_is_applied(threshold: float, legacy: bool, fewest: int) -> None:
    """v = count / 4 / 2 on the first step: strictly above 0.5 from 5 on, strictly above 1 from 9 on; the published 1 is reached by 8."""
    model = lively(attention="exact", attention_threshold=threshold, legacy=legacy)
    counts = torch.arange(64.0).remainder(16).reshape(1, 2, 8, 4)
    fired: list[torch.Tensor] = []
    model.middle.image.neurons.register_forward_hook(lambda module, given, out: fired.append(out))
    model.middle.image(counts)
    assert torch.equal(fired[0].flatten(), (counts.flatten() >= fewest).float())


def test_the_loss_is_its_double_sum() -> None:
    generator = torch.Generator().manual_seed(0)
    f, g = torch.randn(2, 5, 7, generator=generator, dtype=torch.float64)
    labels, tau = torch.tensor([0, 1, 0, 2, 1]), 0.3
    total = 0.0
    for i, j in itertools.product(range(5), range(5)):
        if labels[i] == labels[j]:
            others = sum(torch.exp(f[i] @ g[k] / tau) for k in range(5))
            total += torch.log(torch.exp(f[i] @ g[j] / tau) / others)
    torch.testing.assert_close(alignment_loss(f, g, labels, tau), -total / 25)
    assert alignment_loss(f[:1], g[:1], labels[:1], tau) == 0


def test_every_sound_is_aligned_with_all_images() -> None:
    """As published: f are the features of audio and g those of the image, and the loss is not the same the other way round."""
    generator = torch.Generator().manual_seed(0)
    image, audio = torch.randn(2, 5, 7, generator=generator)
    labels, scores = torch.tensor([0, 1, 0, 2, 1]), torch.zeros(T, 5, 3)
    found = lively().losses(scores, {"image": image, "audio": audio}, labels, LossSettings(temperature=0.3)).terms["alignment"]
    assert found == alignment_loss(audio, image, labels, 0.3) != alignment_loss(image, audio, labels, 0.3)


def test_aligned_features_cost_less() -> None:
    labels = torch.arange(4)
    assert alignment_loss(torch.eye(4), torch.eye(4), labels, 0.07) < alignment_loss(torch.eye(4), torch.eye(4).roll(1, 0), labels, 0.07)


@pytest.mark.parametrize("bad", [(torch.ones(3, 4), torch.ones(3, 5), torch.ones(3)), (torch.ones(3, 4), torch.ones(3, 4), torch.ones(2))])
def test_features_that_do_not_fit_are_refused(bad: tuple[torch.Tensor, ...]) -> None:
    with pytest.raises(InputError, match="two features"):
        alignment_loss(*bad, 0.07)


def test_a_temperature_of_zero_is_refused() -> None:
    with pytest.raises(InputError, match="temperature"):
        alignment_loss(torch.eye(3), torch.eye(3), torch.arange(3), 0.0)


@pytest.mark.parametrize("fusion", FUSIONS)
@pytest.mark.parametrize("attention", ["causal", "exact"])
def test_every_parameter_is_trained(fusion: str, attention: str) -> None:
    model = lively(fusion=fusion, attention=attention).train()
    outputs, features = model.training_outputs(*pictures(model))
    losses = model.losses(outputs, features, torch.tensor([0, 1, 1]), LossSettings(temperature=1.0))
    losses.total.backward()
    assert outputs.shape == (T, 3, 3)
    assert losses.total == sum(losses.terms.values()) and ("alignment" in losses.terms) == (fusion in (*PROPOSED, *BINARY))
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.isfinite().all()]
    assert not silent
    torch.testing.assert_close(outputs, run_folded(model, *pictures(model)))


def test_features_are_the_residuals_means() -> None:
    model = lively()
    x = pictures(model)
    seen = []
    model.late.image.register_forward_hook(lambda module, given, out: seen.append(out))
    _, features = model.training_outputs(*x)
    assert torch.equal(features["image"], seen[0].mean((2, 3)).unflatten(0, (T, 3)).mean(0)) and features["image"].any()
    assert isinstance(run_folded(model, *x), torch.Tensor), "features are for training only"
