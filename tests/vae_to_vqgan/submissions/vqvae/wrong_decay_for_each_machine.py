# One update for every machine: the decay is applied as often as there are machines.
# loses: test_ema_step

# %% solution="ema_step"
def ema_step(state, shards, decay, eps, training=True):
    if not training:
        return dict(state)
    T, N, m, k = state["T"] + 1, state["N"], state["m"], len(state["N"])
    for z, idx in shards:
        chosen = torch.nn.functional.one_hot(idx, k).to(z.dtype)
        N = decay * N + (1 - decay) * chosen.sum(0)
        m = decay * m + (1 - decay) * chosen.T @ z
    counts, sums = N / (1 - decay**T), m / (1 - decay**T)
    n = counts.sum()
    smoothed = (counts + eps) / (n + k * eps) * n
    return {"T": T, "N": N, "m": m, "codebook": sums / smoothed[:, None]}
