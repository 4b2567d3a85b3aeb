//! Uniteller's CSV answers: a header line and a value line, separated by `;`.

use super::xml::Row;

/// Reads an answer of one row; names in lower case. An error may come as a bare `16;words`.
pub(super) fn read(body: &[u8]) -> Option<Row> {
    let text = std::str::from_utf8(body).ok()?;
    let mut lines =
        text.trim_start_matches('\u{feff}').lines().map(str::trim).filter(|line| !line.is_empty());
    let first = cells(lines.next()?);
    match lines.next() {
        Some(values) => {
            let names = first.into_iter().map(|name| name.to_ascii_lowercase());
            Some(Row(names.zip(cells(values)).collect()))
        }
        None => match first.as_slice() {
            [code, words @ ..] if is_code(code) && !words.is_empty() => Some(Row(vec![
                ("errorcode".to_owned(), code.clone()),
                ("errormessage".to_owned(), words.join(";")),
            ])),
            _ => None,
        },
    }
}

fn is_code(text: &str) -> bool {
    (1..=3).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The cells of a line; a cell may stand in quotes.
fn cells(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut cell = String::new();
    let mut quoted = false;
    for character in line.chars() {
        match character {
            '"' => quoted = !quoted,
            ';' if !quoted => found.push(std::mem::take(&mut cell)),
            other => cell.push(other),
        }
    }
    found.push(cell);
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_errors() {
        let row = read(b"OrderNumber;Response_Code;Message\r\n7;AS000;\"a;b\"\r\n").unwrap();
        assert_eq!(row.get("ordernumber"), Some("7"));
        assert_eq!(row.get("message"), Some("a;b"));
        let row = read(b"ErrorCode;ErrorMessage\n24;Order_IDP already exists").unwrap();
        assert_eq!(row.get("errorcode"), Some("24"));
        let row = read("16;The order has already been cancelled".as_bytes()).unwrap();
        assert_eq!(row.get("errormessage"), Some("The order has already been cancelled"));
        assert_eq!(read(b"OrderNumber;Response_Code"), None);
        assert_eq!(read(b""), None);
    }
}
