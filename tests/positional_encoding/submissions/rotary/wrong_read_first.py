# The state is read before this token enters it: a token does not see itself.
# loses: test_decode_step, test_decode_step_gradient

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = state
    q, k = phi(q), phi(k)
    turned_q, turned_k = q @ rotation.mT, k @ rotation.mT
    numerator = (turned_q[..., None, :] @ S)[..., 0, :]
    denominator = (q * z).sum(-1, keepdim=True)
    S = S + turned_k[..., :, None] * v[..., None, :]
    z = z + k
    return numerator / denominator, (S, z)
