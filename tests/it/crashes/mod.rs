//! The real binary ends in the middle: at named points, by a stop under load, out of file descriptors; or its disk fails.

mod disk;
mod files;
mod points;
mod stop;
