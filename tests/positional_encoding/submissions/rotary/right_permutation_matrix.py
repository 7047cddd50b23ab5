# A permutation matrix on the left, its transpose for the way back.
# keeps: all

# %% solution="convert_qkv"
def convert_qkv(weight, bias, n_heads, n_kv_heads, to):
    d = len(bias) // (n_heads + 2 * n_kv_heads)
    eye = torch.eye(d, dtype=weight.dtype)
    head = torch.cat((eye[0::2], eye[1::2]))
    if to == "interleaved":
        head = head.T
    turned = [head] * (n_heads + n_kv_heads)
    whole = torch.block_diag(*turned, *[eye] * n_kv_heads)
    return whole @ weight, whole @ bias
