# A running sum of outer products: a state for each token.
# loses: test_attend_in_chunks_cost

# %% solution="attend_in_chunks"
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    S, z = state
    states = S[..., None, :, :] + (phi_k[..., None] * v[..., None, :]).cumsum(-3)
    sums = z[..., None, :] + phi_k.cumsum(-2)
    above = (phi_q[..., None, :] @ states)[..., 0, :]
    below = (phi_q * sums).sum(-1, keepdim=True)
    return above / below, (states[..., -1, :, :], sums[..., -1, :])
