use super::*;
use crate::base::code::{E0703, E0801};

/// One tensor of each element type that files know, with values at the ends of its range.
fn samples() -> Tensors {
    let mut tensors = Tensors::new();
    for dtype in DType::ALL {
        let values: Vec<f64> = match dtype.int_range() {
            Some((low, high)) if dtype.bits() < 64 => vec![low as f64, 0.0, 1.0, high as f64, 1.0, 0.0],
            Some(_) => vec![0.0, 1.0, 2.0, 3.0, 4.0, 5.0],
            None => vec![0.0, -1.5, 0.25, f64::INFINITY, 65504.0, 2f64.powi(-14)],
        };
        let mut tensor = Tensor::from_f64(dtype, vec![2, 3], values);
        if dtype == DType::UInt64 {
            tensor = Tensor::from_i64(dtype, vec![2, 3], vec![-1, i64::MIN, i64::MAX, 0, 1, 2]);
        }
        tensors.insert(format!("layer.{dtype}"), tensor);
    }
    tensors.insert("scalar".into(), Tensor::from_f32(vec![], vec![1.0]));
    tensors.insert("empty".into(), Tensor::from_f32(vec![0, 3], vec![]));
    tensors
}

/// The same, as types that the file has not travel.
fn travelled(tensors: &Tensors, bfloat16: bool) -> Tensors {
    let widen = |tensor: &Tensor| match (tensor.dtype(), tensor.data()) {
        (DType::Trit | DType::Int4, data) => Tensor::new(DType::Int8, tensor.shape().to_vec(), data.clone()),
        (DType::BFloat16, data) if bfloat16 => Tensor::new(DType::Float32, tensor.shape().to_vec(), data.clone()),
        _ => tensor.clone(),
    };
    tensors.iter().map(|(name, tensor)| (name.clone(), widen(tensor))).collect()
}

#[test]
fn every_type_survives_each_format() {
    let tensors = samples();
    assert_eq!(npz::read(&npz::write(&tensors).unwrap()).unwrap(), travelled(&tensors, true));
    for (name, tensor) in &tensors {
        assert_eq!(npy::read(&npy::write(tensor)).unwrap(), travelled(&tensors, true)[name]);
    }
    let metadata = BTreeMap::from([("format".to_string(), "pt".to_string()), ("a".to_string(), "\"é\"".to_string())]);
    let set = WeightSet { tensors, metadata };
    let read = safetensors::read(&safetensors::write(&set)).unwrap();
    assert_eq!(read.metadata, set.metadata);
    assert_eq!(read.tensors, travelled(&set.tensors, false));
}

#[test]
fn safetensors_data_is_aligned_and_the_crate_agrees() {
    let set = WeightSet { tensors: samples(), metadata: BTreeMap::new() };
    let bytes = safetensors::write(&set);
    let (header, metadata) = ::safetensors::SafeTensors::read_metadata(&bytes).unwrap();
    assert_eq!(header % 8, 0);
    for (name, info) in metadata.tensors() {
        assert_eq!(info.data_offsets.0 % (info.dtype.bitsize() / 8), 0, "{name}");
    }
}

#[test]
fn declared_types_come_back_only_when_exact() {
    let exact = Tensor::from_f32(vec![2], vec![1.0, f32::NAN]);
    assert_eq!(restore(exact, DType::BFloat16, FileFormat::Npy).unwrap().dtype(), DType::BFloat16);
    let inexact = Tensor::from_f32(vec![1], vec![0.1]);
    assert_eq!(restore(inexact.clone(), DType::BFloat16, FileFormat::Npy), Err("0.1 is not exact in bfloat16".into()));
    assert_eq!(
        restore(inexact, DType::Float16, FileFormat::Npy),
        Err("element type is float32, expected float16".into())
    );
    let exact = Tensor::from_f32(vec![1], vec![1.0]);
    assert!(restore(exact, DType::BFloat16, FileFormat::Safetensors).is_err());
    let codes = Tensor::from_i64(DType::Int8, vec![3], vec![-1, 0, 2]);
    assert_eq!(
        restore(codes.clone(), DType::Trit, FileFormat::Npy),
        Err("2 is out of range for trit (-1 to 1)".into())
    );
    assert_eq!(restore(codes.clone(), DType::Int4, FileFormat::Npy).unwrap().as_i64(), codes.as_i64());
}

fn npy_file(header: &str, data: &[u8]) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    bytes.extend(data);
    bytes
}

fn npy_error(header: &str, data: &[u8]) -> String {
    npy::read(&npy_file(header, data)).unwrap_err()
}

#[test]
fn fortran_order_and_big_endian() {
    let header = "{'descr': '>i2', 'fortran_order': True, 'shape': (2, 3), }\n";
    let data: Vec<u8> = [1i16, 4, 2, 5, 3, -6].iter().flat_map(|v| v.to_be_bytes()).collect();
    let tensor = npy::read(&npy_file(header, &data)).unwrap();
    assert_eq!(tensor, Tensor::from_i64(DType::Int16, vec![2, 3], vec![1, 2, 3, 4, 5, -6]));
    let header = "{'shape': (2, 2, 2), 'fortran_order': True, 'descr': '|u1'}";
    let tensor = npy::read(&npy_file(header, &[0, 1, 2, 3, 4, 5, 6, 7])).unwrap();
    assert_eq!(tensor.as_i64().unwrap(), [0, 4, 2, 6, 1, 5, 3, 7]);
}

#[test]
fn hostile_npy_headers_are_refused() {
    let header = |descr: &str, shape: &str| format!("{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}}}");
    for (descr, shape, expected) in [
        ("'<f4'", "(18446744073709551615, 2)", "is too large"),
        ("'<f4'", "(4294967296, 4294967296, 0)", "is too large"),
        ("'<f4'", "(99999999999999999999,)", "not made of sizes"),
        ("'<f4'", "(1000000000,)", "is truncated: shape [1000000000] of float32 needs 4000000000 bytes, found 4"),
        ("'<f4'", "()", "has bytes left over"),
        ("'<f4'", "(-1,)", "not made of sizes"),
        ("'|O'", "(1,)", "Python objects"),
        ("'<U3'", "(1,)", "which Tri has not"),
        ("'<c8'", "(1,)", "which Tri has not"),
        ("'é'", "(1,)", "which Tri has not"),
        ("''", "(1,)", "which Tri has not"),
        ("[('a', '<f4')]", "(1,)", "records"),
        ("'<f4'", "1", "malformed"),
        ("'<f4'", "((((((1", "not made of sizes"),
    ] {
        let extra: &[u8] = if shape == "()" { &[0; 8] } else { &[0; 4] };
        let error = npy_error(&header(descr, shape), extra);
        assert!(error.contains(expected), "{descr} {shape}: {error}");
    }
    let many = format!("({})", "1,".repeat(100));
    assert!(npy_error(&header("'<f4'", &many), &[0; 4]).contains("more than 64 dims"));
    assert!(npy_error("{'descr': '<f4'}", &[]).contains("without \"fortran_order\""));
    assert!(npy_error("{'evil': 1}", &[]).contains("unknown header entry"));
    assert_eq!(npy::read(b"PK").unwrap_err(), "is not a .npy file");
    let huge = b"\x93NUMPY\x02\x00\xff\xff\xff\xff";
    assert!(npy::read(huge).unwrap_err().contains("header of 4294967295 bytes"));
}

#[test]
fn offsets_that_wrap_around_are_refused() {
    // Nine tensors whose sizes add up to 2^64 + a little.
    let size = (1u64 << 61) - 1;
    let mut entries = vec![];
    let mut end = 0u64;
    for index in 0..9 {
        let start = end;
        end = end.wrapping_add(size);
        entries.push(format!(r#""t{index}":{{"dtype":"U8","shape":[{size}],"data_offsets":[{start},{end}]}}"#));
    }
    let header = format!("{{{}}}", entries.join(","));
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header.as_bytes());
    assert!(safetensors::read(&bytes).unwrap_err().contains("is truncated: tensor \"t0\""));
    let nested = format!("{{\"t\":{}", "[".repeat(100_000));
    let mut bytes = (nested.len() as u64).to_le_bytes().to_vec();
    bytes.extend(nested.as_bytes());
    assert!(safetensors::read(&bytes).unwrap_err().contains("its header is malformed"));
    assert!(safetensors::read(&[0xff; 20]).unwrap_err().contains("longer than the file"));
}

#[test]
fn every_truncation_is_an_error() {
    let tensors = samples();
    let npy = npy::write(&tensors["layer.float32"]);
    let npz = npz::write(&tensors).unwrap();
    let safe = safetensors::write(&WeightSet { tensors, metadata: BTreeMap::new() });
    for (format, bytes) in [(FileFormat::Npy, npy), (FileFormat::Npz, npz), (FileFormat::Safetensors, safe)] {
        for end in 0..bytes.len() {
            assert!(decode(format, &bytes[..end]).is_err(), "{format:?} cut at {end}");
        }
    }
}

/// Damaged files give a tensor or an error, never a panic, and take no more memory than they have.
#[test]
fn damaged_files_do_no_harm() {
    let set = WeightSet { tensors: samples(), metadata: BTreeMap::new() };
    let formats = [
        (FileFormat::Npy, npy::write(&set.tensors["layer.int16"])),
        (FileFormat::Npz, npz::write(&set.tensors).unwrap()),
        (FileFormat::Safetensors, safetensors::write(&set)),
    ];
    let mut state = 0x1234_5678_9abc_def0u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for (format, bytes) in formats {
        for _ in 0..3000 {
            let mut damaged = bytes.clone();
            for _ in 0..1 + random() % 4 {
                let at = random() % damaged.len();
                damaged[at] = [0, 1, 0x7f, 0x80, 0xff, b'9', random() as u8][random() % 7];
            }
            let _ = decode(format, &damaged);
        }
    }
}

#[test]
fn zip_bombs_are_refused() {
    // A member of 64 MiB that says it has 200 bytes.
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(vec![]));
    zip.start_file("a.npy", zip::write::SimpleFileOptions::default()).unwrap();
    let header = npy_file("{'descr': '|u1', 'fortran_order': False, 'shape': (72,)}", &[]);
    let content = std::io::Read::chain(&header[..], std::io::Read::take(std::io::repeat(0), 64 << 20));
    std::io::copy(&mut { content }, &mut zip).unwrap();
    let mut bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    let error = npz::read(&bytes).unwrap_err();
    assert!(error.contains("has bytes left over"), "{error}");
    let central = bytes.windows(4).rposition(|w| w == b"PK\x01\x02").unwrap();
    bytes[central + 24..central + 28].copy_from_slice(&200u32.to_le_bytes());
    let error = npz::read(&bytes).unwrap_err();
    assert!(error.contains("larger than its declared uncompressed size"), "{error}");
}

#[test]
fn files_are_told_apart_by_extension() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("w.NPY");
    let set = WeightSet { tensors: [(String::new(), Tensor::scalar_i64(7))].into(), metadata: BTreeMap::new() };
    std::fs::write(&path, encode(&path, &set).unwrap()).unwrap();
    assert_eq!(load(&path).unwrap(), set);
    assert_eq!(load(Path::new("w.pt")).unwrap_err().code, E0803);
    assert_eq!(Checkpoint::open(&path).unwrap().get("").map(|stored| stored.dtype), Some(DType::Int64));
    let missing = load(Path::new("no-such-file.npz")).unwrap_err();
    assert_eq!((missing.code, missing.message.as_str()), (E0801, "cannot be read: no such file or directory"));
    let broken = folder.path().join("w.safetensors");
    std::fs::write(&broken, b"nonsense").unwrap();
    assert_eq!(load(&broken).unwrap_err().code, E0702);
}

/// A safetensors file with any header.
fn safetensors_file(header: &[u8], data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, data].concat()
}

#[test]
fn hostile_safetensors_headers_are_refused() {
    let tensor = |name: &str, dtype: &str, shape: &str, start: u64, end: u64| {
        format!(r#""{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":[{start},{end}]}}"#)
    };
    let header = |tensors: &[String]| format!("{{{}}}", tensors.join(","));
    let long = format!("[{}1]", "1,".repeat(100));
    for (tensors, expected) in [
        (vec![tensor("a", "F32", "[2]", 0, 8), tensor("a", "F32", "[2]", 8, 16)], "tensor \"a\" stands there twice"),
        (vec![tensor("a", "F32", "[3]", 0, 12), tensor("b", "F32", "[2]", 8, 16)], "\"a\" and \"b\" overlap"),
        (vec![tensor("a", "F32", "[4]", 0, 16), tensor("b", "F32", "[2]", 4, 12)], "\"a\" and \"b\" overlap"),
        (vec![tensor("a", "F32", "[2]", 0, 8), tensor("b", "F32", "[1]", 12, 16)], "4 bytes before tensor \"b\""),
        (vec![tensor("a", "F32", "[2]", 8, 16)], "8 bytes before tensor \"a\" belong to none"),
        (vec![tensor("a", "F32", "[2]", 0, 8)], "has 8 bytes left over after its last tensor"),
        (vec![tensor("a", "F32", "[2]", 0, 16)], "float32 of shape [2], needs 8 bytes, not 16"),
        (vec![tensor("a", "F16", "[4]", 0, 16)], "float16 of shape [4], needs 8 bytes, not 16"),
        (vec![tensor("a", "F32", "[5]", 0, 20)], "is truncated: tensor \"a\" ends at byte 20 of 16"),
        (vec![tensor("a", "F32", "[4]", 16, 0)], "begins at byte 16 and ends at 0"),
        (vec![tensor("a", "F8_E5M2", "[16]", 0, 16)], "element type \"F8_E5M2\", which Tri has not"),
        (vec![tensor("a", "F32", "[4294967296,4294967296,0]", 0, 0)], "which is too large"),
        (vec![tensor("a", "U8", &long, 0, 1)], "with 101 dims"),
        (vec![tensor("a", "F32", "[-4]", 0, 16)], "its header is malformed"),
        (vec![tensor("a", "F32", "[4.0]", 0, 16)], "its header is malformed"),
        (vec![r#""__metadata__":{"a":"x","a":"y"}"#.into()], "\"a\" stands there twice"),
        (vec![r#""__metadata__":{},"__metadata__":{}"#.into()], "\"__metadata__\" stands there twice"),
        (vec![r#""__metadata__":{"a":1}"#.into()], "its header is malformed"),
        (vec![r#""a":{"dtype":"F32","shape":[4]}"#.into()], "missing field `data_offsets`"),
    ] {
        let bytes = safetensors_file(header(&tensors).as_bytes(), &[0; 16]);
        let error = safetensors::read(&bytes).unwrap_err();
        assert!(error.contains(expected), "{tensors:?}: {error}");
    }
    let latin = safetensors_file(b"{\"\xe9\":{}}", &[]);
    assert!(safetensors::read(&latin).unwrap_err().contains("not UTF-8 text (byte 2 of it)"));
    // Tensors without elements take no room, wherever they say they lie.
    let empty = header(&[tensor("a", "F32", "[0,3]", 0, 0), tensor("b", "F32", "[4]", 0, 16)]);
    assert_eq!(safetensors::read(&safetensors_file(empty.as_bytes(), &[0; 16])).unwrap().tensors.len(), 2);
}

/// What this reader takes, the format's own crate takes too, and reads alike.
#[test]
fn headers_mean_what_the_format_says() {
    let mut state = 77u64;
    for _ in 0..300 {
        let mut tensors = Tensors::new();
        for index in 0..state % 5 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let dtype = DType::ALL[(state >> 40) as usize % DType::ALL.len()];
            let shape: Vec<usize> = (0..(state >> 35) % 4).map(|axis| ((state >> (20 + axis)) % 4) as usize).collect();
            tensors.insert(format!("t{index}.{}", state >> 60), Tensor::filled(dtype, shape, 1.0));
        }
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let bytes = safetensors::write(&WeightSet { tensors, metadata: BTreeMap::new() });
        let own = safetensors::header::parse(&bytes).unwrap();
        let theirs = ::safetensors::SafeTensors::deserialize(&bytes).unwrap();
        assert_eq!(own.tensors.len(), theirs.len());
        for (name, view) in theirs.iter() {
            assert_eq!(
                (&own.tensors[name].shape[..], &bytes[own.tensors[name].range.clone()]),
                (view.shape(), view.data())
            );
        }
    }
}

/// A folder with two shards and their index.
fn shards() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let set = |name: &str, value: f32| WeightSet {
        tensors: [(name.to_string(), Tensor::from_f32(vec![2], vec![value, 0.5]))].into(),
        metadata: [("format".to_string(), "pt".to_string())].into(),
    };
    std::fs::write(folder.path().join("a.safetensors"), safetensors::write(&set("up", 1.0))).unwrap();
    std::fs::write(folder.path().join("b.safetensors"), safetensors::write(&set("down", 2.0))).unwrap();
    index(
        &folder,
        r#"{"metadata": {"total_size": 16}, "weight_map": {"up": "a.safetensors", "down": "b.safetensors"}}"#,
    );
    folder
}

fn index(folder: &tempfile::TempDir, text: &str) {
    std::fs::write(folder.path().join("model.safetensors.index.json"), text).unwrap();
}

#[test]
fn shards_are_one_checkpoint() {
    let folder = shards();
    for path in [folder.path().to_path_buf(), folder.path().join("model.safetensors.index.json")] {
        let set = load(&path).unwrap();
        assert_eq!(set.tensors.keys().collect::<Vec<_>>(), ["down", "up"]);
        assert_eq!(set.tensors["down"].to_f64(), [2.0, 0.5]);
        assert_eq!(set.metadata["format"], "pt");
    }
    let single = tempfile::tempdir().unwrap();
    let error = load(single.path()).unwrap_err();
    assert!(error.code == E0801 && error.message.contains("neither `model.safetensors.index.json` nor"), "{error}");
    std::fs::copy(folder.path().join("a.safetensors"), single.path().join("model.safetensors")).unwrap();
    assert_eq!(load(single.path()).unwrap().tensors.len(), 1);
}

#[test]
fn shards_that_do_not_agree_are_refused() {
    let map = |entries: &str| format!(r#"{{"weight_map": {{{entries}}}}}"#);
    for (text, expected) in [
        (map(r#""up": "a.safetensors", "down": "gone.safetensors""#), "the shard `gone.safetensors` is missing"),
        (
            map(r#""up": "a.safetensors", "down": "b.safetensors", "side": "a.safetensors""#),
            "`a.safetensors` lacks `side`",
        ),
        (map(r#""up": "a.safetensors", "down": "a.safetensors""#), "`a.safetensors` lacks `down`"),
        (map(r#""other": "b.safetensors", "up": "a.safetensors""#), "holds `down`, which the index does not name"),
        (map(r#""up": "a.safetensors", "up": "b.safetensors""#), "\"up\" stands there twice"),
        (map(r#""up": "../a.safetensors""#), "would lie outside of its folder"),
        (map(r#""up": "/a.safetensors""#), "would lie outside of its folder"),
        (map(r#""up": "a.bin""#), "is no .safetensors file"),
        ("{}".to_string(), "missing field `weight_map`"),
        ("[".repeat(100_000), "is not an index of shards"),
        ("\u{0}".to_string(), "is not an index of shards"),
    ] {
        let folder = shards();
        index(&folder, &text);
        let error = load(folder.path()).unwrap_err();
        assert_eq!(error.code, E0703, "{text}");
        assert!(error.message.contains(expected), "{text}: {error}");
    }
    let folder = shards();
    std::fs::write(folder.path().join("b.safetensors"), b"nonsense").unwrap();
    let error = load(folder.path()).unwrap_err();
    assert!(error.code == E0702 && error.path.ends_with("b.safetensors"), "{error}");
}

#[test]
fn tensors_are_read_one_at_a_time() {
    let folder = tempfile::tempdir().unwrap();
    let set = WeightSet { tensors: samples(), metadata: BTreeMap::new() };
    for name in ["w.safetensors", "w.npz"] {
        let path = folder.path().join(name);
        std::fs::write(&path, encode(&path, &set).unwrap()).unwrap();
        let checkpoint = Checkpoint::open(&path).unwrap();
        assert_eq!(checkpoint.tensors().count(), set.tensors.len());
        for (tensor, stored) in checkpoint.tensors() {
            let read = checkpoint.tensor(tensor).unwrap();
            assert_eq!((read.dtype(), read.shape()), (stored.dtype, &stored.shape[..]), "{name}: {tensor}");
            checkpoint.release(tensor);
            assert_eq!(checkpoint.raw(tensor).unwrap().decode(), read);
        }
        assert_eq!(checkpoint.tensor("none").unwrap_err().message, "holds no tensor \"none\"");
    }
}
