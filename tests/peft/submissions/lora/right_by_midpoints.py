# Midpoints and bucketize, block by block, bytes by shifts.
# keeps: all

# %% solution="pack_four_bits"
def pack_four_bits(w, codebook, block):
    flat = w.contiguous().view(-1)
    middle = (codebook[1:] + codebook[:-1]) / 2
    scale, codes = [], []
    for each in flat.split(block):
        top = each.abs().max()
        scale.append(top)
        unit = each / top if top > 0 else each
        codes.append(torch.bucketize(unit, middle))
    codes = torch.cat(codes).to(torch.int32)
    if len(codes) % 2:
        last = torch.searchsorted(codebook, torch.zeros(1).to(codebook))
        codes = torch.cat([codes, last.to(torch.int32)])
    return ((codes[::2] << 4) | codes[1::2]).to(torch.uint8), torch.stack(scale)
