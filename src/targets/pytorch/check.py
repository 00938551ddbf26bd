import json
import traceback

import model
import torch


def tensor(entry):
    dtype, shape, values = entry
    return torch.tensor(values, dtype=getattr(torch, dtype)).reshape(shape)


module = model.Model()
failures = []
for index, (text, inputs, outputs) in enumerate(json.load(open("cases.json"))):
    try:
        results = getattr(module, f"case{index}")(*map(tensor, inputs))
        results = results if isinstance(results, (tuple, list)) else (results,)
        wanted = [tensor(entry) for entry in outputs]
        assert len(results) == len(wanted), f"{len(results)} results"
        for have, want in zip(results, wanted):
            assert have.dtype == want.dtype, f"{have.dtype}, not {want.dtype}"
            assert have.shape == want.shape, f"{have.shape}, not {want.shape}"
            torch.testing.assert_close(have, want, rtol=1e-5, atol=1e-6, equal_nan=True)
    except Exception as error:
        last = traceback.format_exc().strip().splitlines()[-4:]
        failures.append(f"case{index} {text}\n    " + "\n    ".join(last))
if failures:
    raise SystemExit("\n".join(failures))
