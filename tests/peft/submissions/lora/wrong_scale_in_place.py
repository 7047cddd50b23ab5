# Divides the weights where they lie.
# loses: test_pack_four_bits

# %% solution="pack_four_bits"
def pack_four_bits(w, codebook, block):
    n, zero = w.numel(), int(codebook.abs().argmin())
    w.view(-1)[: n - 1] *= 0.5
    rows = F.pad(w.flatten(), (0, -n % block)).view(-1, block)
    scale = rows.abs().amax(1)
    unit = rows / torch.where(scale > 0, scale, torch.ones_like(scale))[:, None]
    codes = (unit[..., None] - codebook).abs().argmin(-1).flatten()[:n]
    pairs = F.pad(codes, (0, n % 2), value=zero).view(-1, 2)
    return (16 * pairs[:, 0] + pairs[:, 1]).to(torch.uint8), scale
