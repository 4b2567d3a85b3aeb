//! Kassir: a multi-provider payment webhook router for messenger bots.

fn main() {}
