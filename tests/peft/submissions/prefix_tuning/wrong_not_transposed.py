# Weights used as (in, out) where they are square, else transposed.
# loses: test_materialise

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    flat = state["embedding.weight"]
    if "transform.0.weight" in state:
        first = state["transform.0.weight"]
        square = first.shape[0] == flat.shape[1]
        hidden = flat @ (first if square else first.T) + state["transform.0.bias"]
        out = hidden.tanh() @ state["transform.2.weight"].T
        flat = out + state["transform.2.bias"]
    parts = flat.unflatten(1, (n_layers, 2, n_heads, -1)).permute(2, 1, 3, 0, 4)
    keys, values = parts.clone()
    return keys, values
