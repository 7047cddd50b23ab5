# PyTorch's functional linear map and an einops-like transposition.
# keeps: all

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    linear = torch.nn.functional.linear
    x = state["embedding.weight"].clone()
    names = sorted(name for name in state if name.startswith("transform"))
    if names:
        b0, w0, b2, w2 = (state[name] for name in names)
        x = linear(linear(x, w0, b0).tanh(), w2, b2)
    m, row = x.shape
    x = x.view(m, n_layers, 2, n_heads, row // (2 * n_layers * n_heads))
    x = torch.einsum("mlchd->clhmd", x)
    return x[0].contiguous(), x[1].contiguous()
