# Every second slope of the double list, from its second: they repeat.
# loses: test_head_slopes

# %% solution="head_slopes"
def head_slopes(n_heads):
    power = 2 ** (n_heads.bit_length() - 1)

    def plain(count):
        return 2.0 ** (-8 * torch.arange(1, count + 1, dtype=torch.float64) / count)

    return torch.cat((plain(power), plain(2 * power)[1::2][: n_heads - power]))
