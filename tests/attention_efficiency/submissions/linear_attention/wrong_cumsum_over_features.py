# The running sum goes along the features instead of the tokens.
# loses: test_attend_in_chunks

# %% solution="attend_in_chunks"
def attend_in_chunks(phi_q, phi_k, v, chunk, state):
    S, z = state
    sums = z[..., None, :] + phi_k.cumsum(-1)
    pairs = (phi_q @ phi_k.mT).tril()
    above = pairs @ v + phi_q @ S
    return above / (phi_q * sums).sum(-1, keepdim=True), (
        S + phi_k.mT @ v,
        z + phi_k.sum(-2),
    )
