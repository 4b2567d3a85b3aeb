//! TLS for the whole process: rustls with ring.

/// Makes ring the process's provider of cryptography. Must be called before anything speaks TLS; calling it again does
/// nothing.
pub fn install() {
    // An error only says that it is done already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
