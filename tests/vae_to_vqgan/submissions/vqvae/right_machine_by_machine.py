# Adds up machine by machine, and cancels the debiasing where it cancels.
# keeps: all

# %% solution="ema_step"
def ema_step(state, shards, decay, eps, training=True):
    if not training:
        return dict(state.items())
    k = len(state["N"])
    T = state["T"] + 1
    N, m = state["N"] * decay, state["m"] * decay
    for z, idx in shards:
        for code in range(k):
            mine = z[idx == code]
            N[code] += (1 - decay) * len(mine)
            m[code] += (1 - decay) * mine.sum(0)
    bias = 1 - decay**T
    share = (N + bias * eps) / (N.sum() + k * bias * eps)
    return {"T": T, "N": N, "m": m, "codebook": m / (share * N.sum())[:, None]}
