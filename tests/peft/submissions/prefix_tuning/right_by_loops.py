# Every head's slice by itself, tokens through the network one by one.
# keeps: all

# %% solution="materialise"
def materialise(state, n_layers, n_heads):
    rows = []
    for row in state["embedding.weight"]:
        if len(state) > 1:
            inner = torch.mv(state["transform.0.weight"], row)
            inner = (inner + state["transform.0.bias"]).tanh()
            row = torch.mv(state["transform.2.weight"], inner)
            row = row + state["transform.2.bias"]
        rows.append(row)
    heads = torch.stack(rows).chunk(2 * n_layers * n_heads, 1)
    pieces = [heads[i : i + n_heads] for i in range(0, len(heads), n_heads)]
    keys = torch.stack([torch.stack(piece) for piece in pieces[0::2]])
    values = torch.stack([torch.stack(piece) for piece in pieces[1::2]])
    return keys, values
