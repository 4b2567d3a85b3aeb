//! Secrets at rest: XChaCha20-Poly1305 (draft-irtf-cfrg-xchacha) under the master key, with a random nonce. What a
//! secret belongs to is authenticated with it, so that a sealed value moved to another record does not open.

use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use chacha20poly1305::aead::{Aead as _, Payload};
use chacha20poly1305::{KeyInit as _, XChaCha20Poly1305, XNonce};
use kassir_providers::Secret;
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::domain::Sealed;

/// Length of a key, bytes.
pub const KEY_LEN: usize = 32;
const NONCE_LEN: usize = 24;
const VERSION: &str = "1:";

/// What went wrong with a secret; holds none.
#[derive(Debug, Clone, thiserror::Error)]
pub enum SecretError {
    /// The key file can't be read, written, or holds no key.
    #[error("master key {path}: {why}")]
    KeyFile {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// The sealed value is damaged, belongs to another record, or was sealed under another key.
    #[error("a stored secret does not open: is this the master key it was stored under?")]
    Sealed,
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers")]
    Random,
}

/// Seals and opens secrets. Has no `Debug`.
pub struct Vault {
    cipher: XChaCha20Poly1305,
    random: SystemRandom,
}

impl Vault {
    /// Reads the master key; makes it (mode 0600) when the file does not exist. Also tells whether it was made.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`].
    pub fn open_or_create(path: &Path) -> Result<(Vault, bool), SecretError> {
        match Vault::read(path)? {
            Some(vault) => Ok((vault, false)),
            None => Ok((create(path)?, true)),
        }
    }

    /// Reads the master key; `None` when the file does not exist.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`].
    pub fn read(path: &Path) -> Result<Option<Vault>, SecretError> {
        let wrong = |why: String| SecretError::KeyFile { path: path.to_owned(), why };
        match std::fs::File::open(path) {
            Ok(file) => {
                let mut text = Zeroizing::new(String::new());
                file.take(1024).read_to_string(&mut text).map_err(|error| wrong(error.to_string()))?;
                let key =
                    STANDARD.decode(text.trim()).map(Zeroizing::new).ok().filter(|key| key.len() == KEY_LEN);
                let key = key.ok_or_else(|| wrong("holds no base64 of 32 bytes".to_owned()))?;
                Vault::of_key(&key).map(Some)
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// A vault with a throw-away key.
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn throw_away() -> Result<Vault, SecretError> {
        Vault::of_key(&*random_bytes::<KEY_LEN>()?)
    }

    /// A vault with a key of [`KEY_LEN`] bytes.
    ///
    /// # Errors
    /// [`SecretError::Sealed`] when it has another length.
    pub fn of_key(key: &[u8]) -> Result<Vault, SecretError> {
        let cipher = XChaCha20Poly1305::new_from_slice(key).map_err(|_| SecretError::Sealed)?;
        Ok(Vault { cipher, random: SystemRandom::new() })
    }

    /// Seals a text that belongs to `owner` (an id and a field's name: `int_…/secret_key`).
    ///
    /// # Errors
    /// [`SecretError::Random`].
    pub fn seal(&self, owner: &str, text: &str) -> Result<Sealed, SecretError> {
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SecretError::Random)?;
        let payload = Payload { msg: text.as_bytes(), aad: owner.as_bytes() };
        let sealed = self.cipher.encrypt(&XNonce::from(nonce), payload).map_err(|_| SecretError::Sealed)?;
        let mut bytes = nonce.to_vec();
        bytes.extend_from_slice(&sealed);
        Ok(Sealed(format!("{VERSION}{}", STANDARD_NO_PAD.encode(bytes))))
    }

    /// Opens what [`Vault::seal`] sealed for the same owner.
    ///
    /// # Errors
    /// [`SecretError::Sealed`].
    pub fn open(&self, owner: &str, sealed: &Sealed) -> Result<Secret, SecretError> {
        let text = sealed.0.strip_prefix(VERSION).ok_or(SecretError::Sealed)?;
        let bytes = STANDARD_NO_PAD.decode(text).map_err(|_| SecretError::Sealed)?;
        let (nonce, message) = bytes.split_first_chunk::<NONCE_LEN>().ok_or(SecretError::Sealed)?;
        let payload = Payload { msg: message, aad: owner.as_bytes() };
        let plain = self.cipher.decrypt(&XNonce::from(*nonce), payload).map_err(|_| SecretError::Sealed)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| SecretError::Sealed)
    }
}

fn create(path: &Path) -> Result<Vault, SecretError> {
    let wrong =
        |error: std::io::Error| SecretError::KeyFile { path: path.to_owned(), why: error.to_string() };
    let key = random_bytes::<KEY_LEN>()?;
    write_private(path, &format!("{}\n", STANDARD.encode(*key))).map_err(wrong)?;
    Vault::of_key(&*key)
}

/// Writes a new file that only its owner may read (mode 0600, its folder 0700 when it is made); it must not exist.
///
/// # Errors
/// What the file system says.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    let mut folder = std::fs::DirBuilder::new();
    folder.recursive(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
        options.mode(0o600);
        folder.mode(0o700);
    }
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        folder.create(parent)?;
    }
    let mut file = options.open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

/// Random bytes of the operating system.
///
/// # Errors
/// [`SecretError::Random`].
pub fn random_bytes<const N: usize>() -> Result<Zeroizing<[u8; N]>, SecretError> {
    let mut bytes = Zeroizing::new([0; N]);
    SystemRandom::new().fill(&mut *bytes).map_err(|_| SecretError::Random)?;
    Ok(bytes)
}

/// SHA-256 of a token, hex: how tokens are kept and found. They are random, so a fast hash is right.
#[must_use]
pub fn token_hash(token: &str) -> String {
    kassir_providers::digest::Hash::Sha256.hex(token.as_bytes())
}

/// A fresh token: a prefix and 160 random bits in lower-case base32.
///
/// # Errors
/// [`SecretError::Random`].
pub fn new_token(prefix: &str) -> Result<Secret, SecretError> {
    let bytes = random_bytes::<20>()?;
    let mut text = Zeroizing::new(String::from(prefix));
    for chunk in bytes.chunks(5) {
        let mut value = chunk.iter().fold(0_u64, |value, byte| value << 8 | u64::from(*byte));
        for _ in 0..8 {
            let digit = u32::try_from(value & 31).unwrap_or(0);
            text.push(char::from_digit(digit, 32).unwrap_or('0'));
            value >>= 5;
        }
    }
    Ok(Secret::new(text.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sealed_for_one_owner_only() {
        let vault = Vault::throw_away().unwrap();
        let sealed = vault.seal("int_1/secret_key", "тайна").unwrap();
        assert_eq!(vault.open("int_1/secret_key", &sealed).unwrap().expose(), "тайна");
        assert!(vault.open("int_2/secret_key", &sealed).is_err());
        assert!(Vault::throw_away().unwrap().open("int_1/secret_key", &sealed).is_err());
        assert_ne!(vault.seal("a", "x").unwrap(), vault.seal("a", "x").unwrap());
        let mut damaged = sealed.0.clone();
        damaged.pop();
        assert!(vault.open("int_1/secret_key", &Sealed(damaged)).is_err());
        assert!(vault.open("int_1/secret_key", &Sealed("1:".to_owned())).is_err());
    }

    #[test]
    fn the_key_file_is_made_once_and_private() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data/master.key");
        let (vault, made) = Vault::open_or_create(&path).unwrap();
        assert!(made);
        let sealed = vault.seal("a", "x").unwrap();
        let (again, made) = Vault::open_or_create(&path).unwrap();
        assert!(!made);
        assert_eq!(again.open("a", &sealed).unwrap().expose(), "x");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "not a key").unwrap();
        assert!(Vault::open_or_create(&path).is_err());
    }

    #[test]
    fn tokens_are_long_and_differ() {
        let (a, b) = (new_token("kas_").unwrap(), new_token("kas_").unwrap());
        assert_eq!(a.expose().len(), 36);
        assert_ne!(a.expose(), b.expose());
    }
}
