# Smooths the raw averages: near the start eps weighs too much.
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

    N = decay * state["N"] + (1 - decay) * n_k
    m = decay * state["m"] + (1 - decay) * s_k
    n = N.sum()
    smoothed = (N + eps) / (n + k * eps) * n
    return {"T": T, "N": N, "m": m, "codebook": m / smoothed[:, None]}
