//! parkgate
fn main() {}
