# As many key heads as query heads assumed: wrong where keys are shared.
# loses: test_convert_qkv

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    pairs = (-1, 2) if to == "half" else (2, -1)

    def reorder(rows):
        q, k, v = rows.chunk(3)
        q, k = (
            y.unflatten(0, (n_heads, *pairs)).transpose(1, 2).flatten(0, 2)
            for y in (q, k)
        )
        return torch.cat((q, k, v))

    return reorder(weight), reorder(bias)
