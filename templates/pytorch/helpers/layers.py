class Function(nn.Module):
    """The place of a function in a list of layers; it holds nothing."""

    def __init__(self, name):
        super().__init__()
        self.name = name
