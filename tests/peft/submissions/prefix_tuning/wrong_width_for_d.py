# The size of a head taken from the small table, which need not be as wide.
# loses: test_materialise

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    flat = state["embedding.weight"]
    if "transform.0.weight" in state:
        hidden = flat @ state["transform.0.weight"].T + state["transform.0.bias"]
        out = hidden.tanh() @ state["transform.2.weight"].T
        flat = out + state["transform.2.bias"]
    parts = flat.unflatten(
        1, (n_layers, 2, n_heads, state["embedding.weight"].shape[1] // n_heads)
    ).permute(2, 1, 3, 0, 4)
    keys, values = parts.clone()
    return keys, values
