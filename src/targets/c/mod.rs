//! The target `c`: C11 that needs nothing but libm, a `.c` file with the model and what is near the machine beside it.

// The shell takes these away once it calls what is here.
#[allow(dead_code)]
pub mod kernel;
#[allow(dead_code)]
pub mod text;
