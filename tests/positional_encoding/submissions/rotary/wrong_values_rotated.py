# The values are rotated as well.
# loses: test_decode_step

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = state
    q, k = phi(q), phi(k)
    turned_q, turned_k = q @ rotation.mT, k @ rotation.mT
    if v.shape[-1] == rotation.shape[0]:
        v = v @ rotation.mT
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    return numerator / denominator, (S, z)
