# Counted on modules that have no data.
# keeps: all

# %% solution="prefix_param_count"
def prefix_param_count(n_layers, n_tokens, width, kv_width, mid=None):
    with torch.device("meta"):
        stored = torch.empty(n_tokens, n_layers, 2, kv_width).numel()
        if mid is None:
            return stored, stored
        parts = [
            torch.empty(n_tokens, width),
            *torch.nn.Linear(width, mid).parameters(),
            *torch.nn.Linear(mid, 2 * n_layers * kv_width).parameters(),
        ]
    return sum(part.numel() for part in parts), stored
