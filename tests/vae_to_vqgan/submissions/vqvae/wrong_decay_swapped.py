# Decay and 1 - decay exchanged.
# loses: test_ema_step

# %% solution="ema_step"
def ema_step(state, shards, decay, eps, training=True):
    if not training:
        return dict(state)
    z = torch.cat([z for z, _ in shards])
    idx = torch.cat([idx for _, idx in shards])
    T, k = state["T"] + 1, len(state["N"])
    n_k = torch.bincount(idx, minlength=k).to(z.dtype)
    s_k = torch.zeros_like(state["m"]).index_add_(0, idx, z)

    N = (1 - decay) * state["N"] + decay * n_k
    m = (1 - decay) * state["m"] + decay * s_k
    bias = max(1 - (1 - decay) ** T, 1e-12)
    counts, sums = N / bias, m / bias
    n = counts.sum()
    smoothed = (counts + eps) / (n + k * eps) * n
    return {"T": T, "N": N, "m": m, "codebook": sums / smoothed[:, None]}
