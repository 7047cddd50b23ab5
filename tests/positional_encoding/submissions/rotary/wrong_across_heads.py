# One permutation across all rows of a projection instead of one inside each head.
# loses: test_convert_qkv

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    d = weight.shape[0] // (n_heads + 2 * n_kv_heads)

    def reorder(rows):
        pairs = (-1, 2) if to == "half" else (2, -1)
        q, k, v = rows.split((n_heads * d, n_kv_heads * d, n_kv_heads * d))
        q, k = (y.unflatten(0, pairs).transpose(0, 1).flatten(0, 1) for y in (q, k))
        return torch.cat((q, k, v))

    return reorder(weight), reorder(bias)
