# Metropolis-adjusted, with the density ratio from the score by the trapezoid rule.
# keeps: all

# %% solution="matrix_langevin"
def matrix_langevin(score, x, step, n_steps, generator):
    root, inverse = torch.linalg.cholesky(2 * step), torch.linalg.inv(step)

    def cost(move, force):
        rest = move - force @ step
        return ((rest @ inverse) * rest).sum(-1) / 4

    x, force = x.clone(), score(x)
    for _ in range(n_steps):
        z = torch.randn(x.shape, generator=generator, dtype=x.dtype)
        move = force @ step + z @ root.T
        ahead = score(x + move)
        rise = ((force + ahead) * move).sum(-1) / 2
        ratio = rise + cost(move, force) - cost(-move, ahead)
        coin = torch.rand(len(x), generator=generator, dtype=x.dtype)
        taken = (coin.log() < ratio)[:, None]
        x, force = torch.where(taken, x + move, x), torch.where(taken, ahead, force)
    return x
