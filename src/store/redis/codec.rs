//! Records as bytes: JSON, deflated (RFC 1951) with a dictionary of what such records usually say, so that a payment
//! with its events and its inbound log takes little of Redis's memory.
//!
//! The first byte says how the rest is written, so that a later version may write better and still read this. A
//! dictionary never changes: a better one is a new file and a new first byte.

use std::cell::RefCell;

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::dictionary::{Dictionary, PLAIN};
use super::keys::damaged;
use crate::store::{Result, StoreError};

/// The largest record, bytes of JSON.
const RECORD_MAX: usize = 16 * 1024 * 1024;
/// Deflate's effort: higher ones gain less than 1 %.
const LEVEL: u32 = 6;
/// Bytes that the output grows by.
const STEP: usize = 4 * 1024;
/// Writes a record. `context`: texts that the record repeats and the reader knows too (ids of its key); reading needs
/// exactly the same.
///
/// # Errors
///
/// [`StoreError::Limit`] when it is too large.
pub(super) fn pack<T: Serialize>(record: &T, dictionary: Dictionary, context: &str) -> Result<Vec<u8>> {
    pack_with(record, "", dictionary, context)
}

/// Writes a record and a long text of it behind it, as it is: as a JSON text it would be full of backslashes.
///
/// # Errors
///
/// [`StoreError::Limit`] when it is too large.
pub(super) fn pack_with<T: Serialize>(
    record: &T,
    text: &str,
    dictionary: Dictionary,
    context: &str,
) -> Result<Vec<u8>> {
    let mut json = serde_json::to_vec(record).map_err(|_| damaged("a record to be written"))?;
    json.extend_from_slice(text.as_bytes());
    if json.len() > RECORD_MAX {
        return Err(StoreError::Limit(format!(
            "a record of {} bytes is larger than {RECORD_MAX}",
            json.len()
        )));
    }
    let packed = deflate(&json, &dictionary.with(context)).filter(|packed| packed.len() < json.len());
    let (how, bytes) = packed.as_ref().map_or((PLAIN, &json), |packed| (dictionary.code(), packed));
    Ok([&[how], bytes.as_slice()].concat())
}

/// Reads what [`pack`] wrote.
///
/// # Errors
///
/// [`StoreError::Corrupt`].
pub(super) fn unpack<T: DeserializeOwned>(bytes: &[u8], context: &str) -> Result<T> {
    let json = unpacked(bytes, context)?;
    serde_json::from_slice(&json).map_err(|error| misfit(&error))
}

/// Reads what [`pack_with`] wrote: the record, and the text behind it.
///
/// # Errors
///
/// [`StoreError::Corrupt`].
pub(super) fn unpack_with<T: DeserializeOwned>(bytes: &[u8], context: &str) -> Result<(T, String)> {
    let mut json = unpacked(bytes, context)?;
    let mut read = serde_json::Deserializer::from_slice(&json).into_iter::<T>();
    let record = read.next().ok_or_else(|| damaged("a record"))?.map_err(|error| misfit(&error))?;
    let end = read.byte_offset().min(json.len());
    let text = json.split_off(end);
    Ok((record, String::from_utf8(text).map_err(|_| damaged("a record's text"))?))
}

fn unpacked(bytes: &[u8], context: &str) -> Result<Vec<u8>> {
    let newer = || StoreError::Corrupt("it was written by a newer version of Kassir".to_owned());
    let (how, rest) = bytes.split_first().ok_or_else(newer)?;
    if *how == PLAIN {
        return Ok(rest.to_vec());
    }
    let dictionary = Dictionary::of_code(*how).ok_or_else(newer)?;
    inflate(rest, &dictionary.with(context)).ok_or_else(|| damaged("a record"))
}

fn misfit(error: &serde_json::Error) -> StoreError {
    // Not the record itself: it may hold what is nobody's business.
    StoreError::Corrupt(format!("its JSON does not fit ({:?} at byte {})", error.classify(), error.column()))
}

thread_local! {
    // Their tables are large: making them anew costs more than a record takes.
    static DEFLATE: RefCell<Compress> = RefCell::new(Compress::new(Compression::new(LEVEL), false));
    static INFLATE: RefCell<Decompress> = RefCell::new(Decompress::new(false));
}

fn deflate(json: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    DEFLATE.with_borrow_mut(|deflate| {
        deflate.reset();
        deflate_with(deflate, json, dictionary)
    })
}

fn deflate_with(deflate: &mut Compress, json: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    deflate.set_dictionary(dictionary).ok()?;
    let mut packed = Vec::with_capacity(json.len() / 2 + 64);
    loop {
        let done = usize::try_from(deflate.total_in()).ok()?;
        let status = deflate.compress_vec(json.get(done..)?, &mut packed, FlushCompress::Finish).ok()?;
        if status == Status::StreamEnd {
            return Some(packed);
        }
        packed.reserve(STEP);
    }
}

fn inflate(packed: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    INFLATE.with_borrow_mut(|inflate| {
        inflate.reset(false);
        inflate_with(inflate, packed, dictionary)
    })
}

fn inflate_with(inflate: &mut Decompress, packed: &[u8], dictionary: &[u8]) -> Option<Vec<u8>> {
    inflate.set_dictionary(dictionary).ok()?;
    let mut json = Vec::with_capacity(packed.len() * 4 + STEP);
    loop {
        let done = usize::try_from(inflate.total_in()).ok()?;
        let before = json.len();
        let rest = packed.get(done..)?;
        let status = inflate.decompress_vec(rest, &mut json, FlushDecompress::Finish).ok()?;
        if status == Status::StreamEnd {
            return Some(json);
        }
        let stuck = json.len() == before && json.len() < json.capacity();
        if stuck || json.len() > RECORD_MAX {
            return None;
        }
        json.reserve(STEP);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ANY: Dictionary = Dictionary::Any;

    #[test]
    fn records_come_back_and_known_texts_cost_little() {
        let id = "evt_01jqh0a3zq7q8b6v5f4e3d2c1b";
        let record = vec![id.to_owned(); 3];
        for dictionary in Dictionary::all() {
            let with = pack(&record, dictionary, id).unwrap();
            let without = pack(&record, dictionary, "").unwrap();
            assert!(with.len() + 15 < without.len(), "{} {}", with.len(), without.len());
            assert_eq!(unpack::<Vec<String>>(&with, id).unwrap(), record);
            assert!(unpack::<Vec<String>>(&with, "another").is_err());
        }
        let large = "x\u{1f600}\"".repeat(40_000);
        assert_eq!(unpack::<String>(&pack(&large, ANY, id).unwrap(), id).unwrap(), large);
        assert!(matches!(pack(&"x".repeat(RECORD_MAX), ANY, ""), Err(StoreError::Limit(_))));
    }

    #[test]
    fn what_is_no_record_is_an_error() {
        for bytes in [&b""[..], b"\x00", b"\x01", b"\x01\xff\xff", b"\x2a{}", b"\x00{"] {
            assert!(matches!(unpack::<Vec<u8>>(bytes, ""), Err(StoreError::Corrupt(_))), "{bytes:?}");
            assert!(matches!(unpack_with::<Vec<u8>>(bytes, ""), Err(StoreError::Corrupt(_))), "{bytes:?}");
        }
    }

    proptest::proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>, how: u8) {
            let _ = unpack::<String>(&bytes, "x");
            let mut deflated = vec![how];
            deflated.extend(&bytes);
            let _ = unpack::<String>(&deflated, "x");
            let _ = unpack_with::<Vec<String>>(&deflated, "x");
        }

        #[test]
        fn every_text_comes_back(text: String, behind: String, context: String) {
            for dictionary in Dictionary::all() {
                let packed = pack(&text, dictionary, &context).unwrap();
                proptest::prop_assert_eq!(unpack::<String>(&packed, &context).unwrap(), text.clone());
                let packed = pack_with(&[&text], &behind, dictionary, &context).unwrap();
                let (read, rest) = unpack_with::<Vec<String>>(&packed, &context).unwrap();
                proptest::prop_assert_eq!((read, rest), (vec![text.clone()], behind.clone()));
            }
        }
    }
}
