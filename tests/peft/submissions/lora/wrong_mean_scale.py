# The mean magnitude as the scale: what is larger is cut.
# loses: test_pack_four_bits

# %% solution="pack_four_bits"
def pack_four_bits(w, codebook, block):
    n, zero = w.numel(), int(codebook.abs().argmin())
    rows = F.pad(w.flatten(), (0, -n % block)).view(-1, block)
    scale = rows.abs().mean(1)
    unit = rows / torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
    codes = (unit[..., None] - codebook).abs().argmin(-1).flatten()[:n]
    pairs = F.pad(codes, (0, n % 2), value=zero).view(-1, 2)
    return (16 * pairs[:, 0] + pairs[:, 1]).to(torch.uint8), scale
