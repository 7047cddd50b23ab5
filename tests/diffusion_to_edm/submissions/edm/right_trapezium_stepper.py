# A generic stepper of second order that is handed a right-hand side.
# keeps: all

# %% solution="heun_sample"
def heun_sample(D, x, sigmas):
    def slope(level, x):
        return (x - D(x, level)) / level

    def trapezium(f, t, h, x):
        k1 = f(t, x)
        if t + h <= 0:
            return x + h * k1
        return x + h / 2 * (k1 + f(t + h, x + h * k1))

    for t, h in zip(sigmas[:-1], sigmas.diff()):
        x = trapezium(slope, t, h, x) if t + h > 1e-9 else D(x, t)
    return x
