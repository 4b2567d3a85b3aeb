//! Documents that come with the router. No public description of Flowell's notifications is known: its documents are
//! guesses to begin with, and none is used unless a merchant chooses it.

use std::sync::LazyLock;

use serde_json::Value;

/// Names of the presets. `flowell` alone has no document: notifications can be observed until one is written.
pub(super) const NAMES: &[&str] = &["flowell", "flowell-json-hmac", "flowell-form-md5", "flowell-token"];

struct Preset {
    name: &'static str,
    document: LazyLock<Value>,
}

macro_rules! preset {
    ($name:literal) => {
        Preset {
            name: $name,
            document: LazyLock::new(|| {
                serde_json::from_str(include_str!(concat!("presets/", $name, ".json"))).unwrap_or_default()
            }),
        }
    };
}

static PRESETS: [Preset; 3] =
    [preset!("flowell-json-hmac"), preset!("flowell-form-md5"), preset!("flowell-token")];

/// The document of a preset.
pub(super) fn document(name: &str) -> Option<&'static Value> {
    PRESETS.iter().find(|preset| preset.name == name).map(|preset| &*preset.document)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generic::document::Document;

    #[test]
    fn every_preset_is_a_document() {
        for name in NAMES.iter().filter(|name| **name != "flowell") {
            let document = Document::read(document(name).unwrap(), "").unwrap();
            assert_eq!(document.slug, "flowell", "{name}");
        }
        assert!(document("flowell").is_none());
    }
}
