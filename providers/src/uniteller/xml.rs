//! Uniteller's XML answers: rows (`<order>`) of texts, and texts beside them.

use quick_xml::Reader;
use quick_xml::events::Event;

/// Most rows that are read of one answer.
pub(super) const ROWS_MAX: usize = 10_000;
/// Most texts of one row, or beside the rows, that are kept.
const TEXTS_MAX: usize = 128;
/// What Uniteller writes for a value that is not set.
const NOT_SET: &str = "*НЕ ЗАДАВАЛСЯ*";

/// Named texts; names in lower case.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Row(pub(super) Vec<(String, String)>);

impl Row {
    /// The text of that lower-case name; empty and unset ones count as absent.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        let found = self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.trim())?;
        Some(found).filter(|value| !value.is_empty() && *value != NOT_SET)
    }
}

/// An answer.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// The rows.
    pub(super) orders: Vec<Row>,
    /// Attributes of the root, and texts outside rows and column titles.
    pub(super) beside: Row,
}

/// Reads a whole answer; `None` when it is no XML, or was cut off, or has too many rows.
pub(super) fn read(body: &[u8]) -> Option<Answer> {
    let text = std::str::from_utf8(body).ok()?;
    let mut reader = Reader::from_str(text);
    let mut answer = Answer::default();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    loop {
        match reader.read_event().ok()? {
            Event::Start(start) => {
                let name = name(start.name().as_ref());
                if path.is_empty() {
                    for attribute in start.attributes().flatten().take(TEXTS_MAX) {
                        let text = attribute.value.as_ref().to_owned();
                        answer.beside.0.push((self::name(attribute.key.as_ref()), text));
                    }
                }
                if name == "order" {
                    if answer.orders.len() >= ROWS_MAX {
                        return None;
                    }
                    answer.orders.push(Row::default());
                }
                path.push(name);
                value.clear();
            }
            Event::Text(text) => value.push_str(&text.xml10_content()),
            Event::CData(text) => value.push_str(&text.xml10_content()),
            Event::GeneralRef(reference) => match reference.resolve_char_ref().ok()? {
                Some(character) => value.push(character),
                None => {
                    value.push_str(quick_xml::escape::resolve_predefined_entity(&reference.xml10_content())?)
                }
            },
            Event::End(_) => {
                let name = path.pop()?;
                let in_order = path.iter().any(|parent| parent == "order");
                let row = match answer.orders.last_mut() {
                    Some(row) if in_order => Some(row),
                    _ if path.iter().any(|parent| parent == "field" || parent == "request") => None,
                    _ => Some(&mut answer.beside),
                };
                if let Some(row) = row.filter(|row| row.0.len() < TEXTS_MAX) {
                    row.0.push((name, std::mem::take(&mut value)));
                }
                value.clear();
                if path.is_empty() {
                    return Some(answer);
                }
            }
            Event::Eof => return None,
            _ => {}
        }
    }
}

fn name(name: &str) -> String {
    name.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_attributes() {
        let text = "<?xml version='1.0' encoding='UTF-8'?>\n<unitellerresult firstcode='' secondcode='' count='1'>\
            <request><format>4</format></request><orders><field><status>Status</status></field>\
            <order><Status>Paid</Status><total> 10.50</total><message>a &amp; b &#1071;</message><x/>\
            <comment>*НЕ ЗАДАВАЛСЯ*</comment></order></orders></unitellerresult>";
        let answer = read(text.as_bytes()).unwrap();
        assert_eq!(answer.beside.get("count"), Some("1"));
        assert_eq!(answer.beside.get("firstcode"), None);
        assert_eq!(answer.beside.get("format"), None);
        assert_eq!(answer.orders.len(), 1);
        let row = &answer.orders[0];
        assert_eq!(row.get("status"), Some("Paid"));
        assert_eq!(row.get("total"), Some("10.50"));
        assert_eq!(row.get("message"), Some("a & b Я"));
        assert_eq!(row.get("comment"), None);
        for len in 0..text.len() {
            assert_eq!(read(&text.as_bytes()[..len]), None, "{len}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_body_is_read_or_refused(body: Vec<u8>, text in "[<>/a-z&;= '\"!\\[\\]?-]{0,80}") {
            let _ = read(&body);
            let _ = read(text.as_bytes());
        }
    }
}
