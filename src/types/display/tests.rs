//! Texts that NumPy 2.4 printed.

use super::*;

/// Cases of the form `> dtype [sizes] values`, then what NumPy prints.
fn check_cases(cases: &str) -> usize {
    let mut count = 0;
    for case in cases.split("> ").skip(1) {
        let (head, wanted) = case.split_once('\n').unwrap();
        let (dtype, rest) = head.split_once(" [").unwrap();
        let (sizes, values) = rest.split_once(']').unwrap();
        let dtype = DType::parse(dtype).unwrap();
        let shape: Vec<usize> = sizes.split_whitespace().map(|size| size.parse().unwrap()).collect();
        let tensor = if dtype.is_float() {
            Tensor::from_f64(dtype, shape, values.split_whitespace().map(|value| value.parse::<f64>().unwrap()))
        } else {
            let ints = values.split_whitespace().map(|value| value.parse::<i128>().unwrap() as i64).collect();
            Tensor::from_i64(dtype, shape, ints)
        };
        assert_eq!(show(&tensor), wanted.trim_end_matches('\n'), "{head}");
        count += 1;
    }
    count
}

#[test]
fn arrays_look_as_in_numpy() {
    assert_eq!(check_cases(include_str!("numpy.txt")), 46);
}

/// More cases from a file, for a check against another version of NumPy.
#[test]
fn arrays_of_a_given_file_look_as_in_numpy() {
    if let Ok(path) = std::env::var("TRITONC_NUMPY_CASES") {
        assert!(check_cases(&std::fs::read_to_string(path).unwrap()) > 0);
    }
}

#[test]
fn long_arrays_show_their_ends() {
    let count = Tensor::from_i64(DType::Int64, vec![1001], (0..1001).collect());
    assert_eq!(show(&count), "[   0    1    2 ...  998  999 1000]");
    let zeros = Tensor::filled(DType::Float64, vec![40, 40], 0.0);
    let row = "[0. 0. 0. ... 0. 0. 0.]";
    assert_eq!(show(&zeros), format!("[{row}\n {row}\n {row}\n ...\n {row}\n {row}\n {row}]"));
    let thirds = Tensor::from_f64(DType::Float32, vec![2, 1000], (0..2000).map(|i| f64::from(i as f32 / 3.0)));
    let wanted = "\
[[0.0000000e+00 3.3333334e-01 6.6666669e-01 ... 3.3233334e+02
  3.3266666e+02 3.3300000e+02]
 [3.3333334e+02 3.3366666e+02 3.3400000e+02 ... 6.6566669e+02
  6.6600000e+02 6.6633331e+02]]";
    assert_eq!(show(&thirds), wanted);
}

#[test]
fn what_numpy_lacks() {
    assert_eq!(show(&Tensor::from_f64(DType::BFloat16, vec![2], [0.1, 2.0])), "[0.10009766 2.        ]");
    assert_eq!(show(&Tensor::from_i64(DType::Trit, vec![3], vec![-1, 0, 1])), "[-1  0  1]");
}
