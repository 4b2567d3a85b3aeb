//! Answers: always status 200 and well-formed JSON. Anything else counts as «Некорректный либо пустой ответ сервера
//! магазина» and alarms the merchant. The words are shown to the payer.

use crate::outcome::{Answer, Outcome, Refusal, RejectKind};

const CONTENT_TYPE: &str = "application/json; charset=utf-8";

pub(super) fn answer(outcome: &Outcome<'_>) -> Answer {
    let body = match outcome {
        Outcome::Accepted | Outcome::Duplicate | Outcome::Told(_) => {
            r#"{"result":{"message":"OK"}}"#.to_owned()
        }
        Outcome::Refused(refusal) => error(refused(*refusal)),
        Outcome::Rejected(reject) => error(rejected(reject.kind)),
        Outcome::Busy => error("Магазин временно недоступен, повторите попытку позже"),
    };
    Answer { status: 200, content_type: CONTENT_TYPE, body, headers: Vec::new() }
}

/// The texts are ours and hold nothing that JSON would have to escape.
fn error(message: &str) -> String {
    format!(r#"{{"error":{{"message":"{message}"}}}}"#)
}

fn refused(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::UnknownPayment => "Заказ не найден",
        Refusal::UnknownAccount => "Получатель не найден",
        Refusal::WrongAmount => "Сумма не совпадает с суммой заказа",
        Refusal::WrongCurrency => "Валюта не совпадает с валютой заказа",
        Refusal::AlreadyPaid => "Заказ уже оплачен",
        Refusal::Closed => "Заказ отменён",
        Refusal::Expired => "Срок оплаты заказа истёк",
        Refusal::NotAccepted => "Оплата не может быть принята",
    }
}

fn rejected(kind: RejectKind) -> &'static str {
    match kind {
        RejectKind::Malformed => "Неверный формат запроса",
        RejectKind::MissingProof => "Запрос не подписан",
        RejectKind::WrongProof => "Неверная подпись запроса",
        RejectKind::ForeignSource => "Запрос с неизвестного адреса",
        RejectKind::WrongAccount => "Неверный номер проекта",
        RejectKind::Unsupported => "Запрос не поддерживается",
    }
}
