"""Linear attention: a kernel that factors, so that sums over keys are carried along.

The weight of key j for query i is phi_q(i) . phi_k(j) instead of exp(q_i . k_j). Then
sum_j (phi_q . phi_k(j)) v_j is phi_q times one matrix, whatever the number of keys.

Sources: Katharopoulos et al. 2020, *Transformers are RNNs*, arXiv:2006.16236; Shen et
al. 2018, *Efficient Attention*, arXiv:1812.01243; Child et al. 2019, arXiv:1904.10509,
for the sparse masks.
"""

import torch
from jaxtyping import Float
from torch import Tensor

CHUNK = 64


def normalised_product(
    phi_q: Float[Tensor, "*batch n_q m"],
    phi_k: Float[Tensor, "*batch n_k m"],
    v: Float[Tensor, "*batch n_k d"],
    causal: bool = False,
    eps: float = 0.0,
) -> Float[Tensor, "*batch n_q d"]:
    """Linear attention of features: phi_q (phi_k^T v) / (phi_q sum_j phi_k(j) + eps).

    O(n m d) time; nothing of n x n or n x m x d numbers is formed. The denominator is
    one more column of values, all ones. Where features may be negative it can be zero
    or negative; `eps`, added to it, does not prevent that. With `causal` query i sees
    keys j <= i, in chunks of 64.

    Source: Katharopoulos et al. 2020, equations 5 and 9; eps = 1e-6 in their code.

    Raises:
        ValueError: `causal` with another number of keys than of queries.
    """
    counted = torch.cat((v, torch.ones_like(v[..., :1])), -1)
    if causal:
        sums = causal_product(phi_q, phi_k, counted, CHUNK)
    else:
        sums = phi_q @ (phi_k.mT @ counted)
    return sums[..., :-1] / (sums[..., -1:] + eps)


def causal_product(
    phi_q: Float[Tensor, "*batch n m"],
    phi_k: Float[Tensor, "*batch n m"],
    v: Float[Tensor, "*batch n d"],
    chunk: int,
) -> Float[Tensor, "*batch n d"]:
    """The lower triangle of phi_q phi_k^T, times v, in chunks: no division.

    Pairs inside a chunk are formed, chunk x chunk at a time; all earlier keys are in
    the state S = sum_j phi_k(j) v_j^T, (m, d). The last chunk may be shorter.

    Source: Dao and Gu 2024, arXiv:2405.21060, section 6, without their decay.

    Raises:
        ValueError: `chunk` is below 1, or there are more or fewer keys than queries.
    """
    if chunk < 1:
        raise ValueError(f"chunk must be at least 1, got {chunk}")
    n, m = phi_k.shape[-2:]
    if phi_q.shape[-2] != n:
        raise ValueError(
            f"causal needs as many queries as keys, {n}, got {phi_q.shape[-2]}"
        )
    state, done = v.new_zeros(*v.shape[:-2], m, v.shape[-1]), []
    for q, k, x in zip(*(t.split(chunk, -2) for t in (phi_q, phi_k, v))):
        done.append((q @ k.mT).tril() @ x + q @ state)
        state = state + k.mT @ x
    return torch.cat(done, -2)
