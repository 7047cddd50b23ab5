# With time running the other way, tau = 1 - t, point by point.
# keeps: all

# %% solution="reverse_step"
def reverse_step(x, score, A, G, dt, lam, noise):
    spread = torch.einsum("ik,jk->ij", G, G)
    out = []
    for point, pull, z in zip(x, score, noise, strict=True):
        towards = -(A @ point) + 0.5 * (spread @ pull) + 0.5 * lam**2 * (spread @ pull)
        out.append(point + towards * dt + (lam * dt**0.5) * (G @ z))
    return torch.stack(out)
