# Reshaped where axes must be exchanged.
# loses: test_materialise

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    flat = state["embedding.weight"]
    if "transform.0.weight" in state:
        hidden = flat @ state["transform.0.weight"].T + state["transform.0.bias"]
        out = hidden.tanh() @ state["transform.2.weight"].T
        flat = out + state["transform.2.bias"]
    parts = flat.reshape(2, n_layers, n_heads, len(flat), -1)
    keys, values = parts.clone()
    return keys, values
