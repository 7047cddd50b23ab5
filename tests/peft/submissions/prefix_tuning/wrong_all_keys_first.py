# The keys of all layers first, then the values of all layers.
# loses: test_materialise

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    flat = state["embedding.weight"]
    if "transform.0.weight" in state:
        hidden = flat @ state["transform.0.weight"].T + state["transform.0.bias"]
        out = hidden.tanh() @ state["transform.2.weight"].T
        flat = out + state["transform.2.bias"]
    parts = flat.unflatten(1, (2, n_layers, n_heads, -1)).permute(1, 2, 3, 0, 4)
    keys, values = parts.clone()
    return keys, values
