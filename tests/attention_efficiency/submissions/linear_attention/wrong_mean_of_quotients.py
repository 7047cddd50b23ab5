# The mean of two averages, whatever their weights.
# loses: test_attend_in_chunks

# %% solution="attend_in_chunks"
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    S, z = state
    parts = []
    for start in range(0, v.shape[-2], chunk):
        piece = slice(start, start + chunk)
        a, b, x = phi_q[..., piece, :], phi_k[..., piece, :], v[..., piece, :]
        pairs = (a @ b.mT).tril()
        pairs @ x + a @ S
        pairs.sum(-1) + (a @ z[..., None])[..., 0]
        parts.append(
            (
                (pairs @ x) / pairs.sum(-1, keepdim=True)
                + (a @ S) / (a @ z[..., None] + 1e-9)
            )
            / (1 + (z.sum() > 0))
        )
        S, z = S + b.mT @ x, z + b.sum(-2)
    return torch.cat(parts, -2), (S, z)
