# Loops over batch and heads, outer products one by one.
# keeps: all

# %% solution="decode_step"
def decode_step(state, q, k, v, rotation, phi):
    q, k = phi(q), phi(k)
    S, z = state[0].clone(), state[1].clone()
    rows = []
    for b in range(q.shape[0]):
        for h in range(q.shape[1]):
            S[b, h] = S[b, h] + torch.outer(rotation @ k[b, h], v[b, h])
            z[b, h] = z[b, h] + k[b, h]
            numerator = S[b, h].T @ (rotation @ q[b, h])
            rows.append(numerator / torch.dot(q[b, h], z[b, h]))
    return torch.stack(rows).view(v.shape), (S, z)
