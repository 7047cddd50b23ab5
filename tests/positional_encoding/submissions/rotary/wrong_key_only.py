# Only the keys are rotated.
# loses: test_decode_step, test_decode_step_gradient

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = state
    q, k = phi(q), phi(k)
    turned_q, turned_k = q, k @ rotation.mT
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    return numerator / denominator, (S, z)
