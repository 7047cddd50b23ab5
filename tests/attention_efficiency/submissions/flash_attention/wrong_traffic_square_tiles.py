# Blocks of as many keys as queries.
# loses: test_least_traffic

# %% solution="least_traffic"
def least_traffic(n_q, n_k, d, M):
    block = 1
    while (block + 1) * (4 * d + 2) + (block + 1) ** 2 <= M:
        block += 1
    passes = -(-n_q // block)
    return 2 * n_q * d + n_q + passes * 2 * n_k * d
