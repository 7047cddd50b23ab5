# All differences at once, in numpy.
# keeps: all

# %% solution="pack_four_bits"
def pack_four_bits(w, codebook, block):
    import numpy as np

    flat, book = w.detach().numpy().reshape(-1).copy(), codebook.numpy()
    blocks = -(-len(flat) // block)
    full = np.zeros(blocks * block, flat.dtype)
    full[: len(flat)] = flat
    top = np.abs(full.reshape(blocks, block)).max(1)
    each = np.repeat(np.where(top == 0, 1, top), block).astype(flat.dtype)
    codes = np.abs((full / each)[:, None] - book[None]).argmin(1)[: len(flat)]
    codes = np.append(codes, [np.abs(book).argmin()] * (len(flat) % 2)).astype(np.uint8)
    packed = codes[0::2] * np.uint8(16) + codes[1::2]
    return torch.from_numpy(packed), torch.from_numpy(top)
