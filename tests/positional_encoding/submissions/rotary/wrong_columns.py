# The columns, that is the inputs, are reordered instead of the rows.
# loses: test_convert_qkv

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    d = weight.shape[1]
    order = torch.arange(d)
    if to == "half":
        order = torch.cat((order[0::2], order[1::2]))
    else:
        order = torch.cat((order[0::2], order[1::2])).argsort()
    return weight[:, order].clone(), bias.clone()
