# phi after the rotation: the score no longer depends on the distance.
# loses: test_decode_step, test_decode_step_gradient

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = state
    turned_q, turned_k = phi(q @ rotation.mT), phi(k @ rotation.mT)
    q, k = phi(q), phi(k)
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    return numerator / denominator, (S, z)
