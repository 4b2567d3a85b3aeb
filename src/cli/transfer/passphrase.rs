//! A key made of a passphrase: PBKDF2-HMAC-SHA256 (RFC 8018) with the rounds that OWASP's password storage cheat sheet
//! asks for.

use std::io::Read as _;
use std::num::NonZeroU32;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kassir_providers::Secret;
use ring::pbkdf2;
use zeroize::Zeroizing;

use super::Sealing;
use crate::secrets::{KEY_LEN, Vault, random_bytes};

const KDF: &str = "pbkdf2-hmac-sha256";
/// Rounds of a new file.
const ITERATIONS: u32 = 600_000;
/// Rounds that are accepted: fewer protect too little, more would only keep this machine busy.
const ITERATIONS_ACCEPTED: std::ops::RangeInclusive<u32> = 100_000..=10_000_000;
/// Bytes of salt of a new file.
const SALT_LEN: usize = 16;
/// Fewest characters of a passphrase.
const PASSPHRASE_MIN: usize = 12;
/// Largest file with a passphrase, bytes.
const FILE_MAX: u64 = 4_096;

/// Reads a passphrase: the first line of a file, or of standard input for `-`.
pub(super) fn read(path: &Path) -> Result<Secret, String> {
    let failed =
        |error: std::io::Error| format!("can't read the passphrase from {}: {error}", path.display());
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().lock().take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    } else {
        let file = std::fs::File::open(path).map_err(failed)?;
        file.take(FILE_MAX).read_to_string(&mut text).map_err(failed)?;
    }
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() < PASSPHRASE_MIN {
        return Err(format!("the passphrase must have at least {PASSPHRASE_MIN} characters"));
    }
    Ok(Secret::new(line))
}

/// A new sealing and its vault.
pub(super) fn new(passphrase: &Secret) -> Result<(Sealing, Vault), String> {
    let salt = random_bytes::<SALT_LEN>().map_err(|error| error.to_string())?;
    let sealing = Sealing { kdf: KDF.to_owned(), iterations: ITERATIONS, salt: STANDARD.encode(*salt) };
    let vault = vault(&sealing, passphrase)?;
    Ok((sealing, vault))
}

/// The vault of a file.
pub(super) fn vault(sealing: &Sealing, passphrase: &Secret) -> Result<Vault, String> {
    if sealing.kdf != KDF {
        return Err(format!("/secrets/kdf: must be {KDF}"));
    }
    let iterations = Some(sealing.iterations).filter(|rounds| ITERATIONS_ACCEPTED.contains(rounds));
    let iterations = iterations.and_then(NonZeroU32::new).ok_or_else(|| {
        let (least, most) = (ITERATIONS_ACCEPTED.start(), ITERATIONS_ACCEPTED.end());
        format!("/secrets/iterations: must be a whole number from {least} to {most}")
    })?;
    let salt = STANDARD.decode(&sealing.salt).ok().filter(|salt| salt.len() >= SALT_LEN);
    let salt = salt.ok_or_else(|| format!("/secrets/salt: must be base64 of {SALT_LEN} bytes or more"))?;
    let mut key = Zeroizing::new([0; KEY_LEN]);
    let passphrase = passphrase.expose().as_bytes();
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, iterations, &salt, passphrase, &mut *key);
    Vault::of_key(&*key).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_same_passphrase_opens() {
        let light = Sealing {
            kdf: KDF.to_owned(),
            iterations: *ITERATIONS_ACCEPTED.start(),
            salt: STANDARD.encode([7; SALT_LEN]),
        };
        let open = |word: &str| vault(&light, &Secret::new(word)).unwrap();
        let sealed = open("correct horse battery").seal("int_1/secret_key", "тайна").unwrap();
        let same = open("correct horse battery");
        assert_eq!(same.open("int_1/secret_key", &sealed).unwrap().expose(), "тайна");
        assert!(same.open("int_2/secret_key", &sealed).is_err());
        assert!(open("correct horse batterz").open("int_1/secret_key", &sealed).is_err());
    }

    #[test]
    fn strange_sealings_are_named() {
        let sealing = |kdf: &str, iterations, salt: &str| Sealing {
            kdf: kdf.to_owned(),
            iterations,
            salt: salt.to_owned(),
        };
        let salt = STANDARD.encode([7; SALT_LEN]);
        for (sealing, place) in [
            (sealing("md5", ITERATIONS, &salt), "/secrets/kdf"),
            (sealing(KDF, 1, &salt), "/secrets/iterations"),
            (sealing(KDF, u32::MAX, &salt), "/secrets/iterations"),
            (sealing(KDF, ITERATIONS, "AAAA"), "/secrets/salt"),
            (sealing(KDF, ITERATIONS, "?"), "/secrets/salt"),
        ] {
            let why = vault(&sealing, &Secret::new("correct horse battery")).err().unwrap();
            assert!(why.starts_with(place), "{why}");
        }
    }
}
