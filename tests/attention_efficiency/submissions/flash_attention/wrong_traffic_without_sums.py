# Forgets that the sums acc, m and l need room.
# loses: test_least_traffic

# %% solution="least_traffic"
def least_traffic(n_q, n_k, d, M):
    block = (M - 2 * d) // (d + 1)
    passes = -(-n_q // block)
    return 2 * n_q * d + n_q + passes * 2 * n_k * d
