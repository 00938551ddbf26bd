import torch


def new_seed():
    raise AssertionError("seeds come from outside")


class Model(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.w = torch.nn.Parameter(torch.tensor([1.0, 1.0]))
        self.register_buffer("count", torch.tensor(0))

    def forward(self, x, times):
        print("noise")
        if x.shape[0] == 1:
            raise ValueError("too small")
        self.count += 1
        y = x * self.w * times + new_seed()
        return y.to(torch.float16), x > 0

    def keep(self, pair, pair_2):
        return pair + pair_2


def load(path):
    with open(path, "rb") as file:
        assert b'"w"' in file.read()
    model = Model()
    with torch.no_grad():
        model.w *= torch.tensor([0.5, -2.0])
    model.count += 41
    return model
