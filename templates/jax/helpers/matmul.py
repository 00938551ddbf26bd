def integer_matmul(a, b):
    """The product of small integers, as int32."""
    return jnp.matmul(a, b, preferred_element_type=jnp.int32)


def routed_matmul(x, w, index):
    """Row n is `x[n] @ w[index[n]].T`; the axes before a row are those of the index."""
    return jnp.einsum("...k,...nk->...n", x, w[index])
