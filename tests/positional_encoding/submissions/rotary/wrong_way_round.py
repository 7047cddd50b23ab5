# The inverse permutation: the same one for d = 4.
# loses: test_convert_qkv

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    d = weight.shape[0] // (n_heads + 2 * n_kv_heads)
    pairs = (2, d // 2) if to == "half" else (d // 2, 2)
    turned = (n_heads + n_kv_heads) * d

    def reorder(rows):
        heads = rows[:turned].unflatten(0, (-1, *pairs))
        return torch.cat((heads.transpose(1, 2).flatten(0, 2), rows[turned:]))

    return reorder(weight), reorder(bias)
