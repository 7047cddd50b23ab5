# The content by relative rotation of queries alone; the prefix by complex numbers.
# keeps: all

# %% solution="rotary_prefix_attention"
def rotary_prefix_attention(q, k, v, pk, pv):
    n, d = q.shape[-2:]
    angle = torch.arange(n).double()[:, None] * 10_000 ** (
        -torch.arange(0, d, 2).double() / d
    )
    turn = torch.polar(torch.ones_like(angle), angle)

    def as_complex(x):
        return torch.view_as_complex(x.double().contiguous().unflatten(-1, (-1, 2)))

    q_turned, k_turned = as_complex(q) * turn, as_complex(k) * turn
    own = (q_turned @ k_turned.mH).real
    before = (q_turned @ as_complex(pk).mH).real
    own = own.masked_fill(torch.ones(n, n, dtype=torch.bool).triu(1), -torch.inf)
    weights = (torch.cat([before, own], -1) / d**0.5).softmax(-1).to(v.dtype)
    m = pk.shape[1]
    return weights[..., :m] @ pv + weights[..., m:] @ v
