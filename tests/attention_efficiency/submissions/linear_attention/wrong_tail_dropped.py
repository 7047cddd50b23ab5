# A last chunk that is shorter is left out.
# loses: test_attend_in_chunks

# %% solution="attend_in_chunks"
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    S, z = state
    parts = []
    for start in range(0, v.shape[-2] - chunk + 1, chunk):
        piece = slice(start, start + chunk)
        a, b, x = phi_q[..., piece, :], phi_k[..., piece, :], v[..., piece, :]
        pairs = (a @ b.mT).tril()
        above = pairs @ x + a @ S
        below = pairs.sum(-1) + (a @ z[..., None])[..., 0]
        parts.append(above / below[..., None])
        S, z = S + b.mT @ x, z + b.sum(-2)
    return torch.cat([*parts, 0 * v[..., sum(p.shape[-2] for p in parts) :, :]], -2), (
        S,
        z,
    )
