# A table of all distances up to max_distance, and one indexing; <= at the boundary.
# keeps: all

# %% solution="bucket_of"
def bucket_of(rel, num_buckets=32, max_distance=128, bidirectional=True):
    m = num_buckets // 2 if bidirectional else num_buckets
    e = m // 2
    table = list(range(e + 1))
    for n in range(e + 1, max_distance + 1):
        far = math.log(n / e) / math.log(max_distance / e) * (m - e)
        table.append(min(m - 1, e + int(far)))
    table = torch.tensor(table)
    n = torch.where(rel > 0, rel if bidirectional else 0 * rel, -rel)
    return table[n.clamp(max=max_distance)] + m * (rel > 0) * bidirectional
