# A loop over tokens.
# loses: test_attend_in_chunks_cost

# %% solution="attend_in_chunks"
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    S, z = state
    rows = []
    for i in range(v.shape[-2]):
        a, b, x = phi_q[..., i, :], phi_k[..., i, :], v[..., i, :]
        S = S + b[..., :, None] * x[..., None, :]
        z = z + b
        rows.append((a[..., None, :] @ S)[..., 0, :] / (a * z).sum(-1, keepdim=True))
    return torch.stack(rows, -2), (S, z)
