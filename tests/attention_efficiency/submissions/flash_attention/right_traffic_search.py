# Tries all blocks, the smallest number of passes first.
# keeps: all

# %% solution="least_traffic"
def least_traffic(n_q, n_k, d, M):
    passes = 1
    while True:
        rows = (n_q + passes - 1) // passes
        if 2 * rows * d + 2 * rows + 2 * d + rows <= M or rows == 1:
            return n_q * (2 * d + 1) + 2 * passes * n_k * d
        passes += 1
