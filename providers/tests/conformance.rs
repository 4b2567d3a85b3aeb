//! One suite for every provider × every fixture. Fixtures are data (`fixtures/README.md`); a new provider or a new
//! fixture needs no code here. Each property is one test; it goes over all fixtures and shows all failures at once,
//! each with the file, the property and the difference.

mod properties;
mod support;
