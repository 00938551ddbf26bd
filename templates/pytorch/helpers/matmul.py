def integer_matmul(a, b):
    """The exact product of small integers, as int32."""
    return (a.double() @ b.double()).to(torch.int32)


def routed_matmul(x, w, index):
    """Row n is `x[n] @ w[index[n]].T`; the axes before a row are those of the index."""
    rows, index = x.reshape(-1, x.shape[-1]), index.flatten()
    y = x.new_zeros(rows.shape[0], w.shape[1])
    for expert in range(w.shape[0]):
        chosen = (index == expert).nonzero().squeeze(-1)
        y = y.index_copy(0, chosen, rows[chosen] @ w[expert].T)
    return y.reshape(*x.shape[:-1], w.shape[1])
