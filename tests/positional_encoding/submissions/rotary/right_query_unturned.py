# Turns the state back to the query instead of the query to the state.
# keeps: all

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    S, z = state
    q, k = phi(q), phi(k)
    turned_k = torch.einsum("ij,bhj->bhi", rotation, k)
    S = S + torch.einsum("bhi,bhe->bhie", turned_k, v)
    z = z + k
    seen = torch.einsum("ij,bhie->bhje", rotation, S)
    numerator = torch.einsum("bhj,bhje->bhe", q, seen)
    return numerator / torch.einsum("bhj,bhj->bh", q, z)[..., None], (S, z)
