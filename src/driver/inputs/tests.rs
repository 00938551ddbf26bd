use super::*;
use crate::ir::FuncId;
use crate::types::{Dim, Pack, Shape};
use crate::weights::{WeightSet, encode};

fn dim(text: &str) -> Dim {
    match text.split_once('-') {
        Some((left, right)) => dim(left).sub(&dim(right)),
        None => match text.strip_prefix('2').filter(|rest| !rest.is_empty()) {
            Some(symbol) => Dim::symbol(symbol).scale(2),
            None => text.parse().map_or_else(|_| Dim::symbol(text), Dim::constant),
        },
    }
}

fn spec(name: &str, dtype: DType, dims: &[&str]) -> InputSpec {
    let packed = dims.iter().position(|d| d.starts_with("..."));
    let plain = |dims: &[&str]| dims.iter().map(|d| dim(d)).collect::<Vec<_>>();
    let shape = match packed {
        Some(at) => {
            let pack = Pack::Named(Symbol::new(&dims[at][3..]));
            Shape::with_pack(plain(&dims[..at]), pack, plain(&dims[at + 1..]))
        }
        None => Shape::new(plain(dims)),
    };
    InputSpec { name: name.to_string(), ty: TensorType::new(dtype, shape) }
}

struct Given {
    folder: tempfile::TempDir,
    files: Vec<(String, PathBuf)>,
    shapes: Vec<(String, Vec<usize>)>,
    numbers: Vec<(String, HostValue)>,
    known: BTreeMap<Symbol, i64>,
}

impl Given {
    fn nothing() -> Given {
        let folder = tempfile::tempdir().unwrap();
        Given { folder, files: vec![], shapes: vec![], numbers: vec![], known: BTreeMap::new() }
    }

    fn file(mut self, name: &str, file: &str, tensors: &[(&str, Tensor)]) -> Given {
        let path = self.folder.path().join(file);
        let tensors = tensors.iter().map(|(name, tensor)| (name.to_string(), tensor.clone())).collect();
        std::fs::write(&path, encode(&path, &WeightSet { tensors, metadata: BTreeMap::new() }).unwrap()).unwrap();
        self.files.push((name.to_string(), path));
        self
    }

    fn array(self, name: &str, tensor: Tensor) -> Given {
        self.file(name, &format!("{name}.npy"), &[("", tensor)])
    }

    fn shape(mut self, name: &str, sizes: &[usize]) -> Given {
        self.shapes.push((name.to_string(), sizes.to_vec()));
        self
    }

    fn number(mut self, name: &str, value: HostValue) -> Given {
        self.numbers.push((name.to_string(), value));
        self
    }

    fn bind(&self, specs: &[InputSpec]) -> Result<BoundInputs, Vec<String>> {
        let request = InputRequest {
            files: &self.files,
            numbers: &self.numbers,
            shapes: &self.shapes,
            seed: 7,
            known: &self.known,
        };
        let numbers = vec![(Symbol::new("pos"), HostKind::Int), (Symbol::new("scale"), HostKind::Float)];
        let numbers = if self.numbers.is_empty() { vec![] } else { numbers };
        let left_out = vec!["hidden".to_string()];
        let signature =
            Signature { method: FuncId(0), tensors: specs.to_vec(), left_out, numbers, known: BTreeMap::new() };
        let folder = self.folder.path().display().to_string();
        let text = |d: Diagnostic| {
            std::iter::once(d.message).chain(d.notes).collect::<Vec<_>>().join("; ").replace(&folder, "DIR")
        };
        bind(&signature, &request).map_err(|errors| errors.into_iter().map(text).collect())
    }

    fn shapes_of(&self, specs: &[InputSpec]) -> Result<Vec<Vec<usize>>, Vec<String>> {
        Ok(self.bind(specs)?.tensors.iter().map(|tensor| tensor.shape().to_vec()).collect())
    }
}

fn float(shape: &[usize]) -> Tensor {
    Tensor::filled(DType::Float32, shape.to_vec(), 1.0)
}

const F: DType = DType::Float32;

#[test]
fn files_bind_dims_that_drawn_inputs_share() {
    let specs = [spec("x", F, &["B", "784"]), spec("y", DType::Int64, &["B"]), spec("z", F, &["T"])];
    let given = Given::nothing().array("x", float(&[9, 784]));
    let bound = given.bind(&specs).unwrap();
    assert_eq!(bound.tensors[0], float(&[9, 784]));
    assert_eq!(bound.tensors[1].shape(), [9]);
    assert_eq!(bound.tensors[1].dtype(), DType::Int64);
    assert_eq!(bound.dims[&Symbol::new("B")], 9);
    assert_eq!(bound, given.bind(&specs).unwrap());
}

#[test]
fn what_is_free_is_small_and_distinct() {
    let specs = [spec("x", F, &["B", "T", "8"]), spec("y", F, &["T", "U"]), spec("s", F, &[])];
    assert_eq!(Given::nothing().shapes_of(&specs).unwrap(), [vec![2, 3, 8], vec![3, 5], vec![]]);
    let given = Given::nothing().shape("T", &[6]).shape("y", &[6, 1]);
    assert_eq!(given.shapes_of(&specs).unwrap(), [vec![2, 6, 8], vec![6, 1], vec![]]);
    let mut given = Given::nothing();
    given.known.insert(Symbol::new("dim"), 12);
    assert_eq!(given.shapes_of(&[spec("x", F, &["B", "dim"])]).unwrap(), [vec![2, 12]]);
}

#[test]
fn linear_dims_and_packs_are_solved() {
    let specs = [spec("x", F, &["2S-1"]), spec("y", F, &["S"])];
    assert_eq!(Given::nothing().array("x", float(&[7])).shapes_of(&specs).unwrap(), [vec![7], vec![4]]);
    let odd = Given::nothing().array("x", float(&[8])).shapes_of(&specs).unwrap_err();
    assert_eq!(odd.len(), 1);
    assert!(odd[0].contains("no size `S` makes"), "{odd:?}");
    let specs = [spec("x", F, &["...L", "k"]), spec("y", F, &["...L", "n"])];
    let given = Given::nothing().array("x", float(&[2, 3, 5]));
    assert_eq!(given.shapes_of(&specs).unwrap(), [vec![2, 3, 5], vec![2, 3, 2]]);
    let clash = given.array("y", float(&[2, 4, 5])).shapes_of(&specs).unwrap_err();
    assert!(clash[0].contains("its leading dims are [2, 4], elsewhere [2, 3]"), "{clash:?}");
    assert_eq!(Given::nothing().shapes_of(&[spec("x", F, &["S-4"])]).unwrap(), [vec![4]]);
}

#[test]
fn all_mistakes_are_listed() {
    let specs = [spec("x", F, &["B", "784"]), spec("label", DType::Int64, &["B"])];
    let given = Given::nothing()
        .array("x", float(&[2, 783]))
        .array("label", Tensor::from_i64(DType::Int64, vec![3], vec![0; 3]));
    assert_eq!(
        given.bind(&specs).unwrap_err(),
        [
            "input `x` has shape [2, 783], expected [B, 784]: dim 1 is 783, not 784",
            "input `label` has shape [3], expected [B]: dim 0 (`B`) is 3, not 2, as in input `x`",
        ]
    );
    let given = Given::nothing().array("x", float(&[2])).shape("labl", &[2]);
    assert_eq!(
        given.bind(&specs).unwrap_err(),
        [
            "the model has no input `labl`; help: did you mean `label`?",
            "input `x` has shape [2] with 1 dims, expected [B, 784] with 2",
        ]
    );
    let given = Given::nothing().array("label", float(&[2]));
    assert_eq!(
        given.bind(&specs).unwrap_err(),
        [
            "input `label` from `DIR/label.npy`: element type is float32, expected int64; help: nothing is cast silently; save it with the declared element type"
        ]
    );
    let huge = Given::nothing().shape("B", &[1 << 40]).bind(&specs).unwrap_err();
    assert!(huge[0].contains("too large to be drawn"), "{huge:?}");
    let zero = Given::nothing().shape("x", &[0, 784]).bind(&specs).unwrap_err();
    assert!(zero[0].ends_with("`B` must be at least 1"), "{zero:?}");
}

#[test]
fn archives_give_the_member_of_the_same_name() {
    let specs = [spec("x", DType::BFloat16, &["n"])];
    let both = [("x", float(&[2])), ("y", float(&[3]))];
    let bound = Given::nothing().file("x", "all.npz", &both).bind(&specs).unwrap();
    assert_eq!((bound.tensors[0].shape(), bound.tensors[0].dtype()), (&[2][..], DType::BFloat16));
    let other = Given::nothing().file("x", "all.npz", &[("a", float(&[2])), ("b", float(&[3]))]);
    assert_eq!(other.bind(&specs).unwrap_err(), ["`DIR/all.npz` holds no array `x`; it holds a, b"]);
}

#[test]
fn numbers_are_given_by_name() {
    let both = || Given::nothing().number("scale", HostValue::Int(2));
    let bound = both().number("pos", HostValue::Int(3)).bind(&[]).unwrap();
    let wanted = [(Symbol::new("pos"), HostValue::Int(3)), (Symbol::new("scale"), HostValue::Float(F64(2.0)))];
    assert_eq!(bound.numbers, wanted);
    assert_eq!(both().bind(&[]).unwrap_err(), ["the number `pos` is missing; help: give it with `--input pos=NUMBER`"]);
    let broken = both().number("pos", HostValue::Float(F64(0.5))).bind(&[]).unwrap_err();
    assert_eq!(broken, ["`pos` must be an int, not 0.5"]);
    let unknown = both().number("pos", HostValue::Int(0)).number("n", HostValue::Int(0)).bind(&[]).unwrap_err();
    assert_eq!(unknown, ["the model has no input `n`; help: it may also be given hidden"]);
}
