use crate::passes::testkit::check;
use expect_test::expect;

#[test]
fn dce_keeps_effects_and_what_the_entry_reaches() {
    check(
        &["dce"],
        r#"entry net = Net()

layer Unused() {
}

layer Part() {
  param weight : float32[2] = @Part.make
  method @Part.forward
  method @Part.other
}

layer Net() {
  state mean : float32[2]
  let part = Part()
  method @Net.forward
}

func @Net.forward(%x: float32[2], %c: bool) -> float32[2] {
  %unused = exp %x : float32[2]
  %also = exp %unused : float32[2]
  %0 = call @pure(%x) : float32[2]
  %1 = call @loud(%x) : float32[2]
  %n = rng 1 : int64
  %y = if %c {
    %2 = exp %x : float32[2]
    %3 = sin %x : float32[2]
    yield %2
  } else {
    yield %x
  } : float32[2]
  %z = if %c {
    yield %x
  } else {
    yield %x
  } : float32[2]
  set_state "mean" %y
  assert "holds" %c
  return %x
}

func @Part.make() -> float32[2] {
  %0 = ones {shape = [2], dtype = float32} : float32[2]
  return %0
}

func @Part.forward() {
  return
}

func @Part.other() {
  exported
  return
}

func @pure(%x: float32[2]) -> float32[2] {
  %0 = exp %x : float32[2]
  return %0
}

func @loud(%x: float32[2]) -> float32[2] {
  print "x =", %x
  return %x
}
"#,
        expect![[r#"
            entry net = Net()

            layer Part() {
              param weight : float32[2] = @Part.make
              method @Part.other
            }

            layer Net() {
              state mean : float32[2]
              let part = Part()
              method @Net.forward
            }

            func @Net.forward(%x: float32[2], %c: bool) -> float32[2] {
              %0 = call @loud(%x) : float32[2]
              %y = if %c {
                %1 = exp %x : float32[2]
                yield %1
              } else {
                yield %x
              } : float32[2]
              set_state "mean" %y
              assert "holds" %c
              return %x
            }

            func @Part.make() -> float32[2] {
              %0 = ones {shape = [2], dtype = float32} : float32[2]
              return %0
            }

            func @Part.other() {
              exported
              return
            }

            func @loud(%x: float32[2]) -> float32[2] {
              print "x =", %x
              return %x
            }
        "#]],
    );
}
