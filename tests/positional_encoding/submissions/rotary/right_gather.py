# A list of row numbers, built in plain Python, and one indexing.
# keeps: all

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    d = len(bias) // (n_heads + 2 * n_kv_heads)
    order = []
    for head in range(n_heads + n_kv_heads):
        interleaved = [head * d + c for c in range(d)]
        split = interleaved[0::2] + interleaved[1::2]
        if to == "half":
            order += split
        else:
            order += [head * d + split.index(head * d + c) for c in range(d)]
    order += range(len(order), len(bias))
    return weight[order], bias[order]
