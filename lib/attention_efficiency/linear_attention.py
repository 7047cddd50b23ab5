"""Linear attention: a kernel that factors, so that sums over keys are carried along.

The weight of key j for query i is phi_q(i) . phi_k(j) instead of exp(q_i . k_j). Then
sum_j (phi_q . phi_k(j)) v_j is phi_q times one matrix, whatever the number of keys.
Queries, keys and features are rows; the state S = sum_j phi_k(j) v_j^T is (m, d), in
papers that write columns often its transpose.

Sources: Katharopoulos et al. 2020, *Transformers are RNNs*, arXiv:2006.16236; Shen et
al. 2018, *Efficient Attention*, arXiv:1812.01243; Child et al. 2019, arXiv:1904.10509,
for the sparse masks.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lib.positional_encoding.rotary import apply_rope, rope_cos_sin, rope_inv_freq

CHUNK = 64
Features = Callable[[Tensor], Tensor]


# Features


def elu_features(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d"]:
    """elu(x) + 1: x + 1 above zero, exp(x) below, always positive.

    Source: Katharopoulos et al. 2020, section 3.2.
    """
    return F.elu(x) + 1


def cosine_features(x: Float[Tensor, "*batch d"]) -> Float[Tensor, "*batch d_plus_1"]:
    """(1, x / |x|), whose products 1 + cos are not negative although features may be.

    1 + t is the first-order expansion of exp(t). A vector of zeros stays zero.

    Source: Su 2020, kexue.fm/archives/7546.
    """
    return torch.cat((torch.ones_like(x[..., :1]), F.normalize(x, dim=-1)), -1)


# Sums over keys


def normalised_product(
    phi_q: Float[Tensor, "*batch n_q m"],
    phi_k: Float[Tensor, "*batch n_k m"],
    v: Float[Tensor, "*batch n_k d"],
    causal: bool = False,
    eps: float = 0.0,
    chunk: int = CHUNK,
) -> Float[Tensor, "*batch n_q d"]:
    """Linear attention of features: phi_q (phi_k^T v) / (phi_q sum_j phi_k(j) + eps).

    O(n m d) time; nothing of n x n or n x m x d numbers is formed. The denominator is
    one more column of values, all ones. Where products of features may be negative it
    can be zero or negative, and `eps`, added to it, does not prevent that. With
    `causal` query i sees keys j <= i, `chunk` of them at a time.

    Source: Katharopoulos et al. 2020, sections 3.2 and 3.3; eps is 1e-6 in their code.

    Raises:
        ValueError: `causal` with another number of keys than of queries, or with a
            `chunk` below 1.
    """
    counted = torch.cat((v, torch.ones_like(v[..., :1])), -1)
    if causal:
        sums = causal_product(phi_q, phi_k, counted, chunk)
    else:
        sums = phi_q @ (phi_k.mT @ counted)
    return sums[..., :-1] / (sums[..., -1:] + eps)


def causal_product(
    phi_q: Float[Tensor, "*batch n_q m"],
    phi_k: Float[Tensor, "*batch n_k m"],
    v: Float[Tensor, "*batch n_k d"],
    chunk: int,
) -> Float[Tensor, "*batch n_q d"]:
    """The lower triangle of phi_q phi_k^T, times v, in chunks: no division.

    Pairs inside a chunk are formed, chunk x chunk at a time; all earlier keys are in
    the state S = sum_j phi_k(j) v_j^T, (m, d). The last chunk may be shorter.

    Source: Dao and Gu 2024, arXiv:2405.21060, section 6, without their decay.

    Raises:
        ValueError: `chunk` is below 1, or there are more or fewer keys than queries.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    if phi_q.shape[-2] != phi_k.shape[-2]:
        raise ValueError(
            f"phi_q must have as many rows as phi_k where a mask is causal, "
            f"{phi_k.shape[-2]}, got {phi_q.shape[-2]}"
        )
    state = v.new_zeros(*v.shape[:-2], phi_k.shape[-1], v.shape[-1])
    done = []
    for q, k, x in zip(*(t.split(chunk, -2) for t in (phi_q, phi_k, v))):
        done.append((q @ k.mT).tril() @ x + q @ state)
        state = state + k.mT @ x
    return torch.cat(done, -2)


# Attention


def linear_attention(
    q: Float[Tensor, "*batch n_q c"],
    k: Float[Tensor, "*batch n_k c"],
    v: Float[Tensor, "*batch n_k d"],
    phi: Features = elu_features,
    causal: bool = False,
    eps: float = 0.0,
) -> Float[Tensor, "*batch n_q d"]:
    """Attention with weights phi(q) . phi(k); see `normalised_product`."""
    return normalised_product(phi(q), phi(k), v, causal, eps)


def linear_attention_recurrent(
    q: Float[Tensor, "*batch n c"],
    k: Float[Tensor, "*batch n c"],
    v: Float[Tensor, "*batch n d"],
    phi: Features = elu_features,
    eps: float = 0.0,
) -> Float[Tensor, "*batch n d"]:
    """Causal linear attention as a recurrent network: one token at a time.

    S and z hold all that is kept of earlier tokens, m (d + 1) numbers. A token sees
    itself: first write, then read.

    Source: Katharopoulos et al. 2020, section 3.4.
    """
    q, k = phi(q), phi(k)
    S = z = 0.0
    done = []
    for q_i, k_i, v_i in zip(q.unbind(-2), k.unbind(-2), v.unbind(-2)):
        S = S + k_i[..., :, None] * v_i[..., None, :]
        z = z + k_i
        read = (q_i[..., None, :] @ S)[..., 0, :]
        done.append(read / ((q_i * z).sum(-1, keepdim=True) + eps))
    return torch.stack(done, -2)


def linear_attention_chunked(
    q: Float[Tensor, "*batch n c"],
    k: Float[Tensor, "*batch n c"],
    v: Float[Tensor, "*batch n d"],
    chunk: int,
    phi: Features = elu_features,
    eps: float = 0.0,
) -> Float[Tensor, "*batch n d"]:
    """Causal linear attention, `chunk` tokens at a time; any `chunk` from 1 on.

    Raises:
        ValueError: `chunk` is below 1.
    """
    return normalised_product(phi(q), phi(k), v, True, eps, chunk)


def efficient_attention(
    q: Float[Tensor, "*batch n_q c"],
    k: Float[Tensor, "*batch n_k c"],
    v: Float[Tensor, "*batch n_k d"],
) -> Float[Tensor, "*batch n_q d"]:
    """softmax(q) over features, softmax(k) over the sequence, and no denominator.

    The weights are not negative and add up to one for each query. Not for generation:
    the second softmax sees all keys.

    Source: Shen et al. 2018, section 3, with the softmax normalisation.
    """
    return q.softmax(-1) @ (k.softmax(-2).mT @ v)


def rotary_linear_attention(
    q: Float[Tensor, "batch heads n c"],
    k: Float[Tensor, "batch heads n c"],
    v: Float[Tensor, "batch heads n d"],
    phi: Features = elu_features,
    base: float = 1e4,
) -> Float[Tensor, "batch heads n d"]:
    """Causal linear attention with rotated features above the line only, in O(n m d).

    Features first, then the rotation of each by its own position. The denominator is
    not rotated. The same numbers as `rope_linear_attention` of the lesson on rotary
    embeddings, which forms all pairs.

    Source: Su et al. 2021, arXiv:2104.09864, equation 19, there without the mask.

    Raises:
        ValueError: `phi` gives an odd number of features.
    """
    q, k = phi(q), phi(k)
    n, m = k.shape[-2:]
    angles = torch.arange(n, device=k.device), rope_inv_freq(m, base).to(k.device)
    cos, sin = rope_cos_sin(*angles)
    turned = apply_rope(q, cos, sin), apply_rope(k, cos, sin)
    return causal_product(*turned, v, CHUNK) / causal_product(
        q, k, torch.ones_like(v[..., :1]), CHUNK
    )


# The sparse alternative


def local_strided_mask(n: int, window: int, stride: int) -> Bool[Tensor, "n n"]:
    """True where query i (row) sees key j: j <= i and near, or a multiple of `stride`.

    Near means i - j < `window`, so that a window of 1 is the token itself. The paper
    gives the two patterns to different heads, or merges them into one, as here; its
    local one reaches one key farther, i - j <= l.

    Source: Child et al. 2019, section 4.2, "strided attention".

    Raises:
        ValueError: `n`, `window` or `stride` is below 1.
    """
    for name, value in (("n", n), ("window", window), ("stride", stride)):
        if value < 1:
            raise ValueError(f"{name} must be at least 1, got {value}")
    back = torch.arange(n)[:, None] - torch.arange(n)
    return (back >= 0) & ((back < window) | (back % stride == 0))
