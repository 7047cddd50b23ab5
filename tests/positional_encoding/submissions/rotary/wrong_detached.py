# The old state is detached: no gradient reaches earlier tokens.
# loses: test_decode_step_gradient

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = (part.detach() for part in state)
    q, k = phi(q), phi(k)
    turned_q, turned_k = q @ rotation.mT, k @ rotation.mT
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    return numerator / denominator, (S, z)
